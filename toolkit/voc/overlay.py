"""Classes laid over a picture in their colours, for looking at."""

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.labels.annotation import Mask
from toolkit.labels.classmap import IGNORE, ClassMap

_TINT = 0.5


def overlay(image: npt.NDArray[np.uint8], mask: Mask, classes: ClassMap) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 3) RGB and (H, W) ids -> (H, W, 3): classes tinted with a full-colour border; background and ignore bare."""
    colors = classes.colors[mask]
    tinted = (image.astype(np.float32) * (1 - _TINT) + colors * np.float32(_TINT)).astype(np.uint8)
    bare = mask == IGNORE
    if classes.background is not None:
        bare |= mask == classes.background
    tinted[bare] = image[bare]
    border = _borders(mask) & ~bare
    tinted[border] = colors[border]
    return tinted


def _borders(mask: Mask) -> npt.NDArray[np.bool_]:
    """Pixels that have another class within a distance which grows with the picture."""
    reach = max(1, round(max(mask.shape) / 600))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(mask, kernel) != cv2.erode(mask, kernel))
