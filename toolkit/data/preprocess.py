"""Picture -> network input -> picture again. Saved with the weights, so predicting cannot disagree with training.

H, W: the original picture; h, w: after fitting to the network's size; K classes; C channels.
"""

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from toolkit.data.enlarge import axes, winners
from toolkit.labels.annotation import Mask
from toolkit.labels.classmap import IGNORE

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_LARGEST_CV2_SIDE = 32767
"""Of a mask: OpenCV 4.10 takes pixels from elsewhere beyond, without a word."""

_LARGEST = 1 << 20  # of what a file may say of sizes


@dataclass(frozen=True)
class Preprocess:
    """The size rule and the normalisation.

    size      the longer side is brought to this many pixels, the aspect ratio is kept
    stride    the fitted picture is padded at the right and bottom to a multiple of this
    upscale   r: the network's logits have r times as many rows and columns as its input, and so have masks for it
    mean, std of RGB in 0..1
    """

    size: int = 512
    stride: int = 32
    upscale: int = 1
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def fitted(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) -> (h, w) with the longer side equal to `self.size`, each at least 1."""
        H, W = size
        scale = self.size / max(H, W)
        return max(1, round(H * scale)), max(1, round(W * scale))

    @property
    def filling(self) -> tuple[int, int, int]:
        """The RGB value, 0..255, that pictures are padded with: the mean, which is near 0 after normalising."""
        red, green, blue = (round(255 * value) for value in self.mean)
        return red, green, blue

    def apply(self, image: npt.NDArray[np.uint8]) -> torch.Tensor:
        """uint8 (H, W, 3) RGB -> float32 (3, h', w'), fitted, padded to a multiple of the stride and normalised."""
        fitted = self.fit(image)
        fitted = fitted if fitted.flags.writeable else fitted.copy()  # torch knows no memory that is only read
        return self.normalise(torch.from_numpy(fitted)[None])[0]

    def fit(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """uint8 (H, W, 3) RGB -> uint8 (h', w', 3), fitted and padded to a multiple of the stride."""
        fitted = resize_image(image, self.fitted((image.shape[0], image.shape[1])))
        h, w = fitted.shape[:2]
        return pad_image(fitted, (h + -h % self.stride, w + -w % self.stride), self.filling)

    def apply_mask(self, mask: Mask) -> Mask:
        """uint8 (H, W) -> (r h', r w') like `apply`: nearest class, padding is ignore."""
        h, w = self.fitted((mask.shape[0], mask.shape[1]))
        r = self.upscale
        fitted = resize_mask(mask, (r * h, r * w))
        return pad_mask(fitted, (r * (h + -h % self.stride), r * (w + -w % self.stride)))

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (N, h, w, 3) RGB, 0..255 -> float32 (N, 3, h, w), zero mean and unit variance over ImageNet.

        On the device of the images, which are a quarter of the size before; channels stay last in memory.
        """
        scale, shift = _scale_and_shift(self.mean, self.std, images.device)
        return torch.addcmul(shift, images.float(), scale).permute(0, 3, 1, 2)

    def undo(self, logits: torch.Tensor, size: tuple[int, int]) -> Mask:
        """float (K, r h', r w') logits -> class ids, uint8 (H, W); see `enlarge.winners`."""
        seen = self.seen(logits, size)
        return winners(seen, *axes(seen, size))

    def seen(self, logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """float (K, r h', r w') logits -> those of the picture itself, (K, r h, r w), without the padding."""
        h, w = (self.upscale * length for length in self.fitted(size))
        return logits[:, :h, :w]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocess":
        """The inverse of `as_dict`. Raises KeyError, TypeError or ValueError for what cannot be."""
        found = cls(
            size=_count(values["size"]),
            stride=_count(values["stride"]),
            upscale=_count(values.get("upscale", 1)),
            mean=_triple(values["mean"]),
            std=_triple(values["std"]),
        )
        if not all(value > 0 for value in found.std):
            raise ValueError(f"std {found.std}")
        return found


@lru_cache(maxsize=8)  # on a GPU, making them anew for each batch would wait for all that goes on there
def _scale_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.inference_mode(False):
        scale = torch.tensor([1 / (255 * s) for s in std], device=device)
        return scale, torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=device)


def resize_image(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 3) -> (h, w, 3): area average when shrinking, bilinear when enlarging."""
    if image.shape[:2] == size:
        return image
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    resized = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def resize_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """uint8 (H, W) -> (h, w), nearest: no id appears that was not there."""
    if mask.shape == size:
        return mask
    if max(mask.shape) > _LARGEST_CV2_SIDE:
        rows, columns = (
            ((np.arange(n) + 0.5) * full / n).astype(np.intp) for n, full in zip(size, mask.shape, strict=True)
        )
        return np.asarray(mask[rows[:, None], columns], np.uint8)
    return np.asarray(cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def pad_image(
    image: npt.NDArray[np.uint8], size: tuple[int, int], filling: tuple[int, int, int], at: tuple[int, int] = (0, 0)
) -> npt.NDArray[np.uint8]:
    """Place uint8 (h, w, 3) at row, column `at` of a canvas of `size` filled with one colour; parts outside are cut."""
    if image.shape[:2] == size and at == (0, 0):
        return image
    canvas = np.empty((*size, 3), np.uint8)
    canvas[0] = filling
    canvas[1:] = canvas[0]  # row by row it takes a fiftieth of the time of pixel by pixel
    _place(canvas, image, at)
    return canvas


def pad_mask(mask: Mask, size: tuple[int, int], at: tuple[int, int] = (0, 0)) -> Mask:
    """Like `pad_image` for uint8 (h, w): the canvas is ignore."""
    if mask.shape == size and at == (0, 0):
        return mask
    canvas = np.full(size, IGNORE, np.uint8)
    _place(canvas, mask, at)
    return canvas


def _place(canvas: npt.NDArray[np.uint8], patch: npt.NDArray[np.uint8], at: tuple[int, int]) -> None:
    spans = []
    for axis in (0, 1):
        start, stop = max(at[axis], 0), min(at[axis] + patch.shape[axis], canvas.shape[axis])
        if start >= stop:
            return
        spans.append((slice(start, stop), slice(start - at[axis], stop - at[axis])))
    (rows, patch_rows), (columns, patch_columns) = spans
    canvas[rows, columns] = patch[patch_rows, patch_columns]


def _count(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= _LARGEST:
        raise ValueError(f"{value!r} is no whole number from 1 to {_LARGEST}")
    return value


def _triple(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    if not all(map(math.isfinite, (first, second, third))):
        raise ValueError(f"{values} are no numbers")
    return first, second, third
