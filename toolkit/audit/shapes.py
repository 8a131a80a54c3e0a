"""Shapes that an annotator probably did not mean: tiny, outside, crossing themselves, drawn twice."""

import math
from collections.abc import Sequence

import numpy as np

from toolkit.audit.codes import found
from toolkit.audit.geometry import Points, box, circle_points, is_inside, largest_loop, share_inside, signed_area
from toolkit.findings import Finding
from toolkit.labels.annotation import Shape

_TINIEST = 4.0  # square pixels
_LARGELY = 0.5
_SMALL_LOOP = 16.0  # square pixels: closing a polygon by hand often leaves a smaller one
_LOOP_SHARE = 0.01
_DELETE = "Open it in labelme and delete or redraw the shape."


def check_shapes(shapes: Sequence[tuple[str, Shape]], size: tuple[int, int] | None) -> list[Finding]:
    """Findings about the shapes of one annotation, each given with its place; size is the picture's (H, W)."""
    findings: list[Finding] = []
    seen: dict[tuple[object, ...], tuple[str, str]] = {}
    for place, shape in shapes:
        named = f"'{shape.label}' ({shape.kind})"
        key = outline_key(shape)
        if key in seen:
            findings.append(_repeated(place, shape, named, *seen[key]))
            continue
        seen[key] = (place, shape.label)
        points = _outline(shape)
        if size is not None and (outside := _outside(points, size)):
            findings.append(found("shape-outside", place, f"{named} {outside}", _DELETE))
        findings += _odd_form(place, named, shape, points)
    return findings


def outline_key(shape: Shape) -> tuple[object, ...]:
    """Equal for shapes that draw the same pixels for the same reason: kind, points, bitmap."""
    bitmap = (shape.bitmap.shape, shape.bitmap.tobytes()) if shape.bitmap is not None else None
    return (shape.kind, shape.points, bitmap)


def _repeated(place: str, shape: Shape, named: str, first: str, label: str) -> Finding:
    where = first.rpartition(": ")[2]
    if label == shape.label:
        return found("shape-duplicate", place, f"{named} is the same as {where}.", "Delete one; --fix does it.")
    text = f"{named} has the outline of {where}, which is '{label}'."
    return found("shape-conflict", place, text, "Open it in labelme and delete the wrong one.")


def _outline(shape: Shape) -> Points:
    points = np.array(shape.points, np.float64).reshape(-1, 2)
    if shape.kind == "circle":
        return circle_points(shape.points[0], math.dist(*shape.points[:2]))
    if shape.kind == "rectangle" or (shape.kind == "mask" and len(points) == 2):
        (x1, y1), (x2, y2) = points
        return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
    return points


def _outside(points: Points, size: tuple[int, int]) -> str:
    """What to say of a shape that lies outside the picture for the most part; empty for others."""
    H, W = size
    low, high = points.min(axis=0), points.max(axis=0)
    if (high < -0.5).any() or low[0] > W - 0.5 or low[1] > H - 0.5:
        return f"lies outside the picture of {W} x {H} pixels."
    if is_inside(points, size).all():
        return ""
    share = share_inside(points, size)
    return f"lies to {1 - share:.0%} outside the picture of {W} x {H} pixels." if share < _LARGELY else ""


def _odd_form(place: str, named: str, shape: Shape, points: Points) -> list[Finding]:
    width, height = box(points)
    if shape.kind == "mask" and shape.bitmap is not None:
        pixels = int(shape.bitmap.sum())
        return [found("shape-tiny", place, f"{named} has {pixels} pixels.", _DELETE)] if pixels < _TINIEST else []
    if shape.kind in ("point", "points"):
        return []
    if max(width, height) < 1:
        return [found("shape-tiny", place, f"{named} is smaller than a pixel.", _DELETE)]
    if shape.kind in ("line", "linestrip"):
        return []
    area = abs(signed_area(points))
    loop = largest_loop(points) if shape.kind == "polygon" else 0.0
    if loop >= _SMALL_LOOP and loop >= _LOOP_SHARE * area:
        text = f"{named} crosses itself; the smaller part has {loop:.0f} square pixels."
        return [found("self-crossing", place, text, "Open it in labelme and move the points where it crosses.")]
    if area < _TINIEST and loop < _TINIEST:
        text = f"{named} has an area of {area:.1f} square pixels ({width:.0f} x {height:.0f})."
        return [found("shape-tiny", place, text, _DELETE)]
    return []
