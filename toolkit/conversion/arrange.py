"""What is done to the shapes of one annotation before and after they are drawn: scale, order, see what is hidden."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from toolkit.conversion.options import DrawOptions
from toolkit.errors import AnnotationError
from toolkit.findings import Finding
from toolkit.labels.annotation import Shape
from toolkit.labels.labelme import LARGEST_BITMAPS
from toolkit.labels.raster import Drawing


def rescaled(shapes: Sequence[Shape], old: tuple[int, int], new: tuple[int, int]) -> list[Shape]:
    """Points, and bitmaps by their nearest pixel, from a picture of (H, W) `old` to one of `new`."""
    if old == new:
        return list(shapes)
    down, across = new[0] / old[0], new[1] / old[1]
    scaled = []
    for shape in shapes:
        points = tuple((x * across, y * down) for x, y in shape.points)
        bitmap = shape.bitmap
        if bitmap is not None:
            size = max(1, round(bitmap.shape[1] * across)), max(1, round(bitmap.shape[0] * down))
            if size[0] * size[1] > LARGEST_BITMAPS:
                text = f"scaled like its picture it would have {size[0]} x {size[1]} pixels"
                raise AnnotationError(f"shapes[{shape.number}].mask: {text}. Correct imageHeight and imageWidth.")
            bitmap = np.asarray(Image.fromarray(bitmap).resize(size, Image.Resampling.NEAREST))
        scaled.append(replace(shape, points=points, bitmap=bitmap))
    return scaled


def covering_order(shapes: Sequence[Shape], options: DrawOptions, ranks: Mapping[str, float]) -> list[int]:
    """Positions of the shapes in drawing order; equal ones stay in the order of the file."""
    order = list(range(len(shapes)))
    if options.order == "area":
        order.sort(key=lambda index: -_area(shapes[index], options))
    elif options.order == "priority":
        order.sort(key=lambda index: ranks[shapes[index].label])
    return order


def _area(shape: Shape, options: DrawOptions) -> float:
    """Pixels that a shape covers, about; only compared with others."""
    points = shape.points
    if shape.bitmap is not None:
        return float(shape.bitmap.sum())
    if shape.kind == "circle":
        return math.pi * math.dist(points[0], points[1]) ** 2
    if shape.kind in ("point", "points"):
        return math.pi * options.point_size**2 * len(points)
    if shape.kind in ("line", "linestrip"):
        return options.line_width * sum(math.dist(a, b) for a, b in pairwise(points))
    if shape.kind == "rectangle":
        (x1, y1), (x2, y2) = points
        return abs((x2 - x1) * (y2 - y1))
    turns = zip(points, (*points[1:], points[0]), strict=True)
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in turns)) / 2


def unseen(drawing: Drawing, options: DrawOptions, path: Path) -> list[Finding]:
    """Shapes of which no pixel is seen, and why."""
    return [
        _why_unseen(shape, index + 1 < len(drawing.shapes), drawing.size, options, path)
        for index, (shape, pixels) in enumerate(zip(drawing.shapes, drawing.visible, strict=True))
        if not pixels
    ]


def _why_unseen(
    shape: Shape, is_below_others: bool, size: tuple[int, int], options: DrawOptions, path: Path
) -> Finding:
    height, width = size
    place, what = f"{path}: shapes[{shape.number}]", f"the {shape.kind} '{shape.label}'"
    xs, ys = zip(*shape.points, strict=True)
    radius = math.dist(shape.points[0], shape.points[-1]) if shape.kind == "circle" else 0.0
    margin = {"point": options.point_size, "points": options.point_size, "circle": radius}.get(shape.kind, 0.0)
    margin = options.line_width / 2 if shape.kind in ("line", "linestrip") else margin
    across = max(xs) + margin >= 0 and min(xs) - margin < width
    down = max(ys) + margin >= 0 and min(ys) - margin < height
    if not (across and down):
        text = f"{what} lies outside the picture ({width} x {height} pixels) - nothing drawn."
        return Finding(place, text, "Delete it in labelme.", "outside-shape")
    empty = (shape.kind == "circle" and radius < 1) or (shape.bitmap is not None and not shape.bitmap.any())
    if is_below_others and not empty:
        text = f"{what} is covered completely by shapes over it."
        return Finding(place, text, "Bring it to the front in labelme, or use --order area.", "hidden-shape")
    return Finding(place, f"{what} covers no pixel - nothing drawn.", "Delete it in labelme.", "empty-shape")
