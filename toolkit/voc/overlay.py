"""Classes laid over a picture in their colours, for looking at."""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.labels.annotation import Mask
from toolkit.labels.classmap import IGNORE, ClassMap

_BAND_PIXELS = 1 << 18
"""What is worked on at a time: a huge picture must not be held several times over, and a cache is faster."""


def overlay(
    image: npt.NDArray[np.uint8],
    mask: Mask,
    classes: ClassMap,
    *,
    opacity: float = 0.5,
    outline: int | None = None,
) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 3) RGB and (H, W) ids -> a new (H, W, 3): classes tinted, with a line in their full colour.

    opacity   of the tint, 0 (none) to 1 (the colour alone)
    outline   pixels; how far into each region the line along its border goes. None: 1 for every 600 pixels of the
              longer side, at least 1; 0: no line

    Background and ignore stay bare. Besides the result, memory is taken for a band of rows only.
    """
    longest = max(mask.shape)
    reach = max(1, round(longest / 600)) if outline is None else min(outline, longest)
    seen = bare_lut(classes)
    shown = np.empty_like(image, order="C")
    for rows in _bands(mask.shape[0], mask.shape[1], reach):
        ids, under, out = mask[rows], image[rows], shown[rows]
        colors = _looked_up(ids, classes.colors)
        bare = np.asarray(cv2.LUT(ids, seen), np.uint8)
        if opacity > 0:
            cv2.addWeighted(colors, opacity, under, 1 - opacity, 0, dst=out)
            cv2.copyTo(under, bare, out)
        else:
            out[:] = under
        if reach:
            line = _borders(mask, rows, reach)
            if line is not None:
                cv2.copyTo(colors, line & ~bare, out)
    return shown


def bare_lut(classes: ClassMap) -> npt.NDArray[np.uint8]:
    """uint8 (256,) by class id: 255 for what is not shown, background and ignore; 0 for every other class."""
    bare = np.zeros(256, np.uint8)
    bare[IGNORE] = 255
    if classes.background is not None:
        bare[classes.background] = 255
    return bare


def _bands(H: int, W: int, reach: int) -> Iterator[slice]:
    rows = max(1, _BAND_PIXELS // max(1, W), 4 * reach)  # each band looks `reach` rows beyond its ends
    return (slice(top, min(H, top + rows)) for top in range(0, H, rows))


def _looked_up(ids: Mask, colors: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.applyColorMap(ids, colors.reshape(256, 1, 3)), np.uint8)


def _borders(mask: Mask, rows: slice, reach: int) -> npt.NDArray[np.uint8] | None:
    """uint8 (h, W): 255 where another class lies within `reach` pixels, rows and columns alike; None: nowhere."""
    top = max(0, rows.start - reach)
    around = mask[top : rows.stop + reach]
    lowest, highest, _, _ = cv2.minMaxLoc(around)
    if lowest == highest:
        return None
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    differs = cv2.compare(cv2.dilate(around, kernel), cv2.erode(around, kernel), cv2.CMP_NE)
    return np.asarray(differs, np.uint8)[rows.start - top : rows.stop - top]
