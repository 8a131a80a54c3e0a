"""Shapes -> masks, pixel for pixel as labelme draws them.

labelme fills each shape with Pillow's ImageDraw into a mask of its own and pastes it over what is there. Drawing
every shape straight into one canvas with its id gives the same pixels; that is what happens here. Pixel (i, j)
lies at x = i, y = j, both ends of a shape are inclusive, later shapes cover earlier ones.
"""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from toolkit.labels.annotation import Mask, Point, Shape
from toolkit.labels.classmap import IGNORE

LINE_WIDTH = 10
"""Pixels; what labelme draws lines with."""
POINT_SIZE = 5
"""Radius in pixels; what labelme draws points with."""

_LARGEST_PIL_RADIUS = 10_000  # Pillow walks every row of an ellipse, inside the canvas or not: minutes for 1e7


def draw_classes(
    shapes: Iterable[tuple[Shape, int]],
    size: tuple[int, int],
    *,
    background: int = 0,
    line_width: int = LINE_WIDTH,
    point_size: int = POINT_SIZE,
) -> Mask:
    """Draw (shape, class id 0..255) pairs in order into a uint8 (H, W) mask that starts as `background`."""
    canvas = _Canvas("L", size, background, line_width, point_size)
    for shape, class_id in shapes:
        canvas.draw(shape, class_id)
    return canvas.array().astype(np.uint8, copy=False)


def draw_instances(
    shapes: Iterable[Shape],
    classes: Mask,
    *,
    line_width: int = LINE_WIDTH,
    point_size: int = POINT_SIZE,
) -> npt.NDArray[np.uint16]:
    """Draw each instance with a number 1, 2, ... in order of first appearance: uint16 (H, W), 0 is none.

    Shapes with the same label and group id are one instance. Pixels whose class is background (0) or ignore (255)
    in `classes`, uint8 (H, W), belong to no instance.
    """
    canvas = _Canvas("I", (classes.shape[0], classes.shape[1]), 0, line_width, point_size)
    numbers: dict[tuple[str, int | None, int], int] = {}
    for index, shape in enumerate(shapes):
        key = (shape.label, shape.group_id, -1 if shape.group_id is not None else index)
        canvas.draw(shape, numbers.setdefault(key, len(numbers) + 1))
    instances = canvas.array().astype(np.uint16)
    instances[(classes == 0) | (classes == IGNORE)] = 0
    return instances


class _Canvas:
    def __init__(self, mode: str, size: tuple[int, int], fill: int, line_width: int, point_size: int) -> None:
        height, width = size
        self._image = Image.new(mode, (width, height), fill)
        self._draw = ImageDraw.Draw(self._image)
        self._line_width = line_width
        self._point_size = point_size

    def array(self) -> npt.NDArray[np.generic]:
        return np.array(self._image)

    def draw(self, shape: Shape, value: int) -> None:
        xy = list(shape.points)
        if shape.kind in ("polygon", "oriented_rectangle"):
            self._draw.polygon(xy, fill=value, outline=value)
        elif shape.kind == "rectangle":
            xs, ys = zip(*xy, strict=True)
            self._draw.rectangle(((min(xs), min(ys)), (max(xs), max(ys))), fill=value, outline=value)
        elif shape.kind == "circle":
            self._disc(xy[0], math.dist(xy[0], xy[1]), value)
        elif shape.kind == "line":
            self._draw.line(xy, fill=value, width=self._line_width)
        elif shape.kind == "linestrip":
            # labelme rounds the joints since 7.0; before, wide strips had notches at their turns
            self._draw.line(xy, fill=value, width=self._line_width, joint="curve")
        elif shape.kind in ("point", "points"):
            for point in xy:
                self._disc(point, self._point_size, value)
        elif shape.kind == "mask" and shape.bitmap is not None:
            self._paste(shape, value)

    def _disc(self, center: Point, radius: float, value: int) -> None:
        x, y = center
        if radius <= _LARGEST_PIL_RADIUS:
            self._draw.ellipse(((x - radius, y - radius), (x + radius, y + radius)), fill=value, outline=value)
            return
        width, height = self._image.size
        columns, rows = np.arange(width)[None, :], np.arange(height)[:, None]
        inside = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
        self._image.paste(value, (0, 0), Image.fromarray(inside))

    def _paste(self, shape: Shape, value: int) -> None:
        # labelme 7: corners are rounded; a whole-number box crops the bitmap, a fractional one leaves it whole
        assert shape.bitmap is not None
        (x1, y1), (x2, y2) = shape.points
        left, top, right, bottom = round(x1), round(y1), round(x2), round(y2)
        height, width = shape.bitmap.shape
        if all(value.is_integer() for value in (float(x1), float(y1), float(x2), float(y2))):
            height, width = max(0, min(height, bottom - top + 1)), max(0, min(width, right - left + 1))
        patch = np.ascontiguousarray(shape.bitmap[:height, :width])
        if patch.size:
            self._image.paste(value, (left, top), Image.fromarray(patch))
