"""How sure the model is of each pixel, as a grey picture."""

from pathlib import Path

import numpy as np

from toolkit.files import write_bytes
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers.options import WriteOptions
from toolkit.voc.pixels import encode_mask

_BAND_ROWS = 64


def write(prediction: Prediction, source: Path | None, base: Path, options: WriteOptions = WriteOptions()) -> Path:
    """Write mode L: the probability of the pixel's class times 255, rounded; 0: none, 255: certain."""
    path = base.with_name(f"{base.name}.png")
    confidence = prediction.confidence
    grey = np.empty(confidence.shape, np.uint8)
    for top in range(0, len(grey), _BAND_ROWS):
        rows = slice(top, top + _BAND_ROWS)
        grey[rows] = np.rint(np.nan_to_num(confidence[rows]).clip(0, 1) * 255)
    write_bytes(path, encode_mask(grey, palette=False))
    return path
