"""A picture -> what the network is shown: its size, its padding, and the tiles that it is cut into."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.data.preprocess import Preprocess, pad_image, resize_image
from toolkit.errors import DataError, RunError
from toolkit.prediction.options import PredictOptions
from toolkit.prediction.tiles import Span
from toolkit.voc.pixels import LARGEST_PICTURE


@dataclass(frozen=True)
class Prepared:
    """A picture as the network is to see it.

    image   uint8 (H, W, 3), the picture itself
    shown   uint8 (h', w', 3): fitted and, if it is seen as a whole, padded
    inner   (h, w) of it, without padding
    tiles   rows and columns of the grid, if it is cut
    """

    image: npt.NDArray[np.uint8]
    shown: npt.NDArray[np.uint8]
    inner: tuple[int, int]
    tiles: tuple[Span, Span] | None

    @property
    def nbytes(self) -> int:
        """Of the picture and of what is shown, if that is another one."""
        return self.image.nbytes + (0 if self.shown is self.image else self.shown.nbytes)


def prepare(image: npt.NDArray[np.uint8], preprocess: Preprocess, options: PredictOptions) -> Prepared:
    """Fit a picture, uint8 (H, W, 3) RGB, to the network.

    Raises DataError if it is of another kind or would become too large, RunError if the memory is too small.
    """
    if not isinstance(image, np.ndarray):
        raise DataError(f"image: a file's name or an array is needed, got {type(image).__name__}.")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise DataError(f"image: uint8 (H, W, 3) RGB in 0..255 is needed, got {image.dtype} {image.shape}.")
    size = (image.shape[0], image.shape[1])
    inner, tile, stride = _network_size(size, preprocess, options), _tile(preprocess, options), preprocess.stride
    try:
        fitted = resize_image(image, inner)
    except (MemoryError, cv2.error):
        raise RunError(
            f"the memory is too small for the picture at {inner[1]} x {inner[0]} pixels. Try a smaller --scale or --size."
        ) from None
    if tile is not None and max(inner) > tile:
        rows, columns = (Span.over(side, tile, options.overlap, stride) for side in inner)
        return Prepared(image, fitted, inner, (rows, columns))
    sides = (preprocess.size,) * 2 if options.letterbox else inner
    padded = pad_image(fitted, (sides[0] + -sides[0] % stride, sides[1] + -sides[1] % stride), preprocess.filling)
    return Prepared(image, padded, inner, None)


def _network_size(size: tuple[int, int], preprocess: Preprocess, options: PredictOptions) -> tuple[int, int]:
    scale = options.scale
    if scale is None and (options.tile is None or options.size is not None):
        return preprocess.fitted(size)
    h, w = (max(1, round(side * (scale or 1.0))) for side in size)
    if h * w > LARGEST_PICTURE:
        raise DataError(
            f"scale: the picture would have {w} x {h} pixels, the limit is {LARGEST_PICTURE / 1e6:g} million. "
            "Choose a smaller one."
        )
    return h, w


def _tile(preprocess: Preprocess, options: PredictOptions) -> int | None:
    tile = options.tile or (preprocess.size if options.scale is not None else None)
    return None if tile is None else max(preprocess.stride, tile // preprocess.stride * preprocess.stride)
