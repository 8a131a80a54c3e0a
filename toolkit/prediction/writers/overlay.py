"""The picture with its classes laid over it."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.errors import RunError
from toolkit.files import writing
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers.colorpng import write_color_png
from toolkit.prediction.writers.options import WriteOptions
from toolkit.voc.overlay import overlay
from toolkit.voc.pixels import JPEG_QUALITY, LARGEST_JPEG_SIDE

_BAND_ROWS = 64
_JPEG = (
    *(cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)


def write(prediction: Prediction, source: Path | None, base: Path, options: WriteOptions = WriteOptions()) -> Path:
    """Write a JPEG; a PNG where a side is longer than JPEG files can be."""
    shown = overlay(
        prediction.image, prediction.mask, prediction.classes, opacity=options.opacity, outline=options.outline
    )
    if max(prediction.size) > LARGEST_JPEG_SIDE:
        path = base.with_name(f"{base.name}.png")
        with writing(path) as file:
            write_color_png(file, prediction.size, 3, (shown[rows] for rows in _bands(len(shown))))
        return path
    path = base.with_name(f"{base.name}.jpg")
    with writing(path) as file:
        file.write(_jpeg(shown, path).data)
    return path


def _jpeg(shown: npt.NDArray[np.uint8], path: Path) -> npt.NDArray[np.uint8]:
    """The bytes of a JPEG, 4:4:4. OpenCV takes half of Pillow's time and memory; `shown` is turned to BGR for it."""
    for rows in _bands(len(shown)):
        cv2.cvtColor(shown[rows], cv2.COLOR_RGB2BGR, dst=shown[rows])
    done, encoded = cv2.imencode(".jpg", shown, _JPEG)
    if not done:
        raise RunError(f"{path}: the overlay cannot be made a JPEG file. Leave overlay out of what is saved.")
    return np.asarray(encoded, np.uint8)


def _bands(H: int) -> list[slice]:
    return [slice(top, top + _BAND_ROWS) for top in range(0, H, _BAND_ROWS)]
