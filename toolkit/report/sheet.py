"""Pictures, true masks and predictions side by side on one sheet."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from toolkit.data.preprocess import pad_image, resize_image, resize_mask
from toolkit.files import write_bytes
from toolkit.labels.annotation import Mask
from toolkit.labels.classmap import IGNORE, ClassMap
from toolkit.voc.overlay import overlay
from toolkit.voc.pixels import encode_jpeg

_ROW_HEIGHT = 256
_GAP = 8
_WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Row:
    """One sample: uint8 (H, W, 3) RGB, and uint8 (H, W) ids as annotated and as predicted."""

    image: npt.NDArray[np.uint8]
    truth: Mask
    prediction: Mask


def write_sheet(rows: Iterable[Row], classes: ClassMap, path: Path) -> Path:
    """Write a JPEG with a line for each row: picture, annotation, prediction.

    Ignored pixels of the annotation are shown white.
    """
    write_bytes(path, encode_jpeg(_sheet(rows, classes)))
    return path


def _sheet(content: Iterable[Row], classes: ClassMap) -> npt.NDArray[np.uint8]:
    lines = []
    for row in content:
        size = _size(row.image)
        image = resize_image(row.image, size)
        truth, prediction = (resize_mask(mask, size) for mask in (row.truth, row.prediction))
        shown = overlay(image, truth, classes)
        shown[truth == IGNORE] = 255
        lines.append(_joined([image, shown, overlay(image, prediction, classes)], axis=1))
    width = max(line.shape[1] for line in lines)
    return _joined([pad_image(line, (line.shape[0], width), _WHITE) for line in lines], axis=0)


def _size(image: npt.NDArray[np.uint8]) -> tuple[int, int]:
    height, width = image.shape[:2]
    return _ROW_HEIGHT, max(1, round(width * _ROW_HEIGHT / height))


def _joined(parts: list[npt.NDArray[np.uint8]], axis: int) -> npt.NDArray[np.uint8]:
    shape = list(parts[0].shape)
    shape[axis] = _GAP
    gap = np.full(shape, 255, np.uint8)
    with_gaps = [piece for part in parts for piece in (gap, part)][1:]
    return np.concatenate(with_gaps, axis=axis)
