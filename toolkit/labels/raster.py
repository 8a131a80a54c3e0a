"""Shapes -> masks, pixel for pixel as labelme draws them.

labelme fills each shape with Pillow's ImageDraw into a mask of its own and pastes it over what is there. Drawing
every shape straight into one canvas, with its class id or its instance number, gives the same pixels; drawing it again
is quicker than translating what was drawn. Pixel (i, j) lies at x = i, y = j, both ends of a shape are inclusive, later
shapes cover earlier ones.
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from toolkit.labels.annotation import Mask, Point, Shape
from toolkit.labels.classmap import IGNORE

LINE_WIDTH = 10
"""Pixels; what labelme draws lines with."""
POINT_SIZE = 5
"""Radius in pixels; what labelme draws points with."""

MOST_INSTANCES = 65_535
"""What a 16-bit PNG holds; instances beyond share the last number."""

_LARGEST_PIL_RADIUS = 10_000  # Pillow walks every row of an ellipse, inside the canvas or not: minutes for 1e7


class Drawing:
    """Shapes drawn over each other.

    shapes     in the order in which they cover each other, the last on top
    size       (H, W)
    """

    def __init__(
        self,
        shapes: Sequence[Shape],
        size: tuple[int, int],
        *,
        line_width: int = LINE_WIDTH,
        point_size: int = POINT_SIZE,
    ) -> None:
        self.shapes = tuple(shapes)
        self.size = size
        self._line_width = line_width
        self._point_size = point_size

    @cached_property
    def _numbered(self) -> Image.Image:
        """Each shape with its own number, from 1."""
        return self._drawn(range(1, len(self.shapes) + 1))

    @cached_property
    def _counts(self) -> list[int]:
        """Pixels without a shape, then those that are seen of each shape."""
        if self._numbered.mode == "L":
            counts = self._numbered.histogram()  # twice as fast as numpy's bincount
        else:
            counts = np.bincount(np.asarray(self._numbered).ravel(), minlength=len(self.shapes) + 1).tolist()
        return counts[: len(self.shapes) + 1]

    @property
    def visible(self) -> list[int]:
        """Pixels that are seen of each shape."""
        return self._counts[1:]

    def pixels(self, ids: Sequence[int], *, background: int = 0) -> dict[int, int]:
        """Pixels by class id, of those that occur."""
        pixels: Counter[int] = Counter()
        for class_id, count in zip((background, *ids), self._counts, strict=True):
            pixels[class_id] += count
        return {class_id: pixels[class_id] for class_id in sorted(pixels) if pixels[class_id]}

    def class_image(self, ids: Sequence[int], *, background: int = 0) -> Image.Image:
        """Mode L: the class id, 0..255, of the topmost shape, `background` where there is none."""
        return self._drawn(ids, background)

    def classes(self, ids: Sequence[int], *, background: int = 0) -> Mask:
        """The same as an array: uint8 (H, W)."""
        return np.asarray(self.class_image(ids, background=background))

    def instance_image(self, ids: Sequence[int], numbers: Sequence[int]) -> Image.Image:
        """The instance number of the topmost shape, mode L, or mode I if a number is above 255.

        0 is none: no shape, or one whose class by `ids` is background (0) or ignore (255).
        """
        shown = [0 if i in (0, IGNORE) else min(n, MOST_INSTANCES) for i, n in zip(ids, numbers, strict=True)]
        return self._numbered if shown == list(range(1, len(shown) + 1)) else self._drawn(shown)

    def instances(self, ids: Sequence[int], numbers: Sequence[int]) -> npt.NDArray[Any]:
        """The same as an array: uint8 (H, W), or uint16 if a number is above 255."""
        image = self.instance_image(ids, numbers)
        return np.asarray(image) if image.mode == "L" else np.asarray(image).astype(np.uint16)

    def _drawn(self, values: Sequence[int], background: int = 0) -> Image.Image:
        mode = "L" if max(values, default=0) <= 255 else "I"
        canvas = _Canvas(mode, self.size, background, self._line_width, self._point_size)
        for shape, value in zip(self.shapes, values, strict=True):
            canvas.draw(shape, value)
        return canvas.image


def instance_numbers(shapes: Sequence[Shape]) -> list[int]:
    """1, 2, ... in order of first appearance; shapes of one label and group id share a number."""
    numbers: dict[tuple[str, int | None, int], int] = {}
    return [
        numbers.setdefault((s.label, s.group_id, -1 if s.group_id is not None else index), len(numbers) + 1)
        for index, s in enumerate(shapes)
    ]


def draw_classes(shapes: Sequence[tuple[Shape, int]], size: tuple[int, int], *, background: int = 0) -> Mask:
    """Draw (shape, class id 0..255) pairs in order into a uint8 (H, W) mask that starts as `background`."""
    drawing = Drawing([shape for shape, _ in shapes], size)
    return drawing.classes([class_id for _, class_id in shapes], background=background)


class _Canvas:
    def __init__(self, mode: str, size: tuple[int, int], fill: int, line_width: int, point_size: int) -> None:
        height, width = size
        self.image = Image.new(mode, (width, height), fill)
        self._draw = ImageDraw.Draw(self.image)
        self._line_width = line_width
        self._point_size = point_size

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
        width, height = self.image.size
        for row in range(max(0, math.ceil(y - radius)), min(height - 1, math.floor(y + radius)) + 1):
            half = math.sqrt(radius**2 - (row - y) ** 2)
            first, last = max(0, math.ceil(x - half)), min(width - 1, math.floor(x + half))
            if first <= last:
                self._draw.line(((first, row), (last, row)), fill=value)

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
            self.image.paste(value, (left, top), Image.fromarray(patch))
