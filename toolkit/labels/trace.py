"""Masks -> shapes: the inverse of `raster`, so that predictions can be corrected in labelme.

Every region is outlined by the centres of its border pixels, which is where labelme's own polygons, drawn with
both ends inclusive, put them: without simplification the drawn shapes give the mask back. Regions are drawn
largest first, so what lies in a hole is drawn over it; a hole that shows background gets a shape of its own.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.labels.annotation import Mask, Shape
from toolkit.labels.classmap import IGNORE, ClassMap

_FEWEST_POINTS = 3


@dataclass(frozen=True)
class _Region:
    class_id: int
    outline: npt.NDArray[np.int32]  # (n, 2) x, y
    filled: float  # area inside the outline, holes included; decides the drawing order


def trace(
    mask: Mask, classes: ClassMap, *, tolerance: float = 0.5, min_area: int = 16, text: str = ""
) -> tuple[Shape, ...]:
    """uint8 (H, W) -> polygons in drawing order.

    tolerance   how far, in pixels, a simplified outline may leave the true one (Douglas and Peucker 1973); 0: exact
    min_area    regions of fewer pixels are left out (they become what lies around them)
    text        description of every shape

    Background regions become shapes only where they are holes; ignore regions never do.
    """
    background = classes.background
    foreground = [
        region
        for class_id in np.unique(mask)
        if class_id not in (background, IGNORE)
        for region in _regions(mask == class_id, int(class_id), min_area)
    ]
    holes: list[_Region] = []
    if background is not None and foreground:
        covered = np.zeros(mask.shape, np.uint8)
        for region in foreground:
            cv2.fillPoly(covered, [region.outline], 1)
        holes = [
            region
            for region in _regions(mask == background, background, min_area)
            if covered[region.outline[0, 1], region.outline[0, 0]]
        ]
    ordered = sorted([*foreground, *holes], key=lambda region: -region.filled)
    shapes = []
    for region in ordered:
        points = _simplified(region.outline, tolerance)
        xy = tuple((float(x), float(y)) for x, y in points)
        shapes.append(Shape(classes.names[region.class_id], "polygon", xy, text=text))
    return tuple(shapes)


def _regions(where: npt.NDArray[np.bool_], class_id: int, min_area: int) -> list[_Region]:
    """Regions of pixels joined by their sides, each with its outer border."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(where.astype(np.uint8), connectivity=4)
    found = []
    for number in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[number])
        if area < min_area:
            continue
        part = (numbers[top : top + height, left : left + width] == number).astype(np.uint8)
        contours, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top))
        outline = max(contours, key=len).reshape(-1, 2)
        outline = np.pad(outline, ((0, max(0, _FEWEST_POINTS - len(outline))), (0, 0)), mode="edge")
        found.append(_Region(class_id, outline, float(cv2.contourArea(outline))))
    return found


def _simplified(outline: npt.NDArray[np.int32], tolerance: float) -> npt.NDArray[np.int32]:
    if tolerance <= 0:
        return outline
    shorter = np.asarray(cv2.approxPolyDP(outline, tolerance, closed=True), np.int32).reshape(-1, 2)
    return shorter if len(shorter) >= _FEWEST_POINTS else outline
