"""Predictions as labelme annotations: open, correct, convert again."""

import math
import os
from pathlib import Path

from toolkit.files import write_bytes
from toolkit.labels.annotation import Annotation, Mask
from toolkit.labels.labelme_fields import PREDICTED
from toolkit.labels.labelme_write import write_labelme
from toolkit.labels.outline import Region
from toolkit.labels.trace import trace
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers.options import WriteOptions
from toolkit.voc.pixels import encode_jpeg


def write(prediction: Prediction, source: Path | None, base: Path, options: WriteOptions = WriteOptions()) -> Path:
    """Write shapes whose description says which model drew them and how sure it was of each.

    The picture is referred to by its path relative to the file; a film's frame, which has none, is written beside
    the file as a JPEG. How sure: the mean of the region if `prediction.certainties` are there, else of the class.
    """
    path = base.with_name(f"{base.name}.json")
    if source is None:
        picture = base.with_name(f"{base.name}.jpg")
        write_bytes(picture, encode_jpeg(prediction.image))
        image = picture.name
    else:
        image = _relative(source.parent.resolve() / source.name, path.parent.resolve())
    shapes = trace(
        prediction.mask,
        prediction.classes,
        shapes=options.shapes,
        tolerance=options.tolerance,
        min_area=options.min_area,
        text=lambda region, mask: _text(prediction, region, mask),
    )
    write_labelme(Annotation(path, image, prediction.size, shapes), path, flags={PREDICTED: True})
    return path


def _text(prediction: Prediction, region: Region, mask: Mask) -> str:
    by = f"predicted by {prediction.model or 'seg'}"
    if prediction.certainties is not None:
        left, top, right, bottom = region.box
        part = prediction.certainties[top : bottom + 1, left : right + 1]
        sure = float(part.mean(where=region.pixels(mask), dtype=float))
    else:
        sure = prediction.sureness[region.class_id] if region.class_id < len(prediction.sureness) else math.nan
    return by if math.isnan(sure) else f"{by}, mean confidence {sure:.2f}"


def _relative(path: Path, start: Path) -> str:
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:  # on another Windows drive
        return path.as_posix()
