"""What the model found, cut out of the picture."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.files import writing
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers.colorpng import write_color_png
from toolkit.prediction.writers.options import WriteOptions
from toolkit.voc.overlay import bare_lut

_BAND_BYTES = 1 << 20


def write(prediction: Prediction, source: Path | None, base: Path, options: WriteOptions = WriteOptions()) -> Path:
    """Write RGBA: the picture, alpha 255, where a class is; background and ignore are 0, 0, 0 with alpha 0.

    A model without background class has nothing to cut away: its cut-out is the whole picture.
    """
    path = base.with_name(f"{base.name}.png")
    with writing(path) as file:
        write_color_png(file, prediction.size, 4, _bands(prediction))
    return path


def _bands(prediction: Prediction) -> Iterator[npt.NDArray[np.uint8]]:
    H, W = prediction.size
    alpha = np.bitwise_not(bare_lut(prediction.classes))
    rows = max(1, _BAND_BYTES // (4 * W))
    for top in range(0, H, rows):
        kept = cv2.LUT(prediction.mask[top : top + rows], alpha)
        rgba = cv2.cvtColor(prediction.image[top : top + rows], cv2.COLOR_RGB2RGBA)
        # what is not shown must not lie hidden behind the transparency either
        yield np.asarray(cv2.bitwise_and(rgba, cv2.merge([kept] * 4)), np.uint8)
