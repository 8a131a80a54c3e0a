"""Masks as programs read them: grey values that are class ids."""

from pathlib import Path

from toolkit.files import write_bytes
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers.options import WriteOptions
from toolkit.voc.pixels import encode_mask


def write(prediction: Prediction, source: Path | None, base: Path, options: WriteOptions = WriteOptions()) -> Path:
    """Write mode L, value = class id."""
    path = base.with_name(f"{base.name}.png")
    write_bytes(path, encode_mask(prediction.mask, palette=False))
    return path
