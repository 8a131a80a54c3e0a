"""Masks as people see them: a palette PNG."""

from pathlib import Path

from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers.options import WriteOptions
from toolkit.voc.pixels import write_mask


def write(prediction: Prediction, source: Path | None, base: Path, options: WriteOptions = WriteOptions()) -> Path:
    """Write mode P, VOC colours, value = class id."""
    path = base.with_name(f"{base.name}.png")
    write_mask(path, prediction.mask)
    return path
