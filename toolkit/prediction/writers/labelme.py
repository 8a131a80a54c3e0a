"""Predictions as labelme annotations: open, correct, convert again."""

import os
from pathlib import Path

import numpy as np

from toolkit.labels.annotation import Annotation
from toolkit.labels.labelme import write_labelme
from toolkit.labels.trace import trace
from toolkit.prediction.predictor import Prediction


def write(prediction: Prediction, source: Path, base: Path) -> Path:
    """Write polygons whose description says that a model drew them and how sure it was on average."""
    path = base.with_name(f"{base.name}.json")
    sure = float(np.mean(prediction.confidence))
    shapes = trace(prediction.mask, prediction.classes, text=f"predicted by seg, mean confidence {sure:.2f}")
    image = _relative(source.resolve(), path.parent.resolve())
    size = (prediction.mask.shape[0], prediction.mask.shape[1])
    write_labelme(Annotation(path, image, size, shapes), path)
    return path


def _relative(path: Path, start: Path) -> str:
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:  # on another Windows drive
        return path.as_posix()
