"""The picture with its classes laid over it."""

from pathlib import Path

from toolkit.files import write_bytes
from toolkit.prediction.predictor import Prediction
from toolkit.voc.overlay import overlay
from toolkit.voc.pixels import encode_jpeg


def write(prediction: Prediction, source: Path, base: Path) -> Path:
    """Write a JPEG."""
    path = base.with_name(f"{base.name}.jpg")
    write_bytes(path, encode_jpeg(overlay(prediction.image, prediction.mask, prediction.classes)))
    return path
