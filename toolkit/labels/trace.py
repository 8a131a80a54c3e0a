"""Masks -> shapes: the inverse of `raster`, so that predictions can be corrected in labelme.

Every region is outlined by the centres of its border pixels, which is where labelme's own polygons, drawn with
both ends inclusive, put them: without simplification the drawn shapes give the mask back. Regions are drawn
largest first, so what lies in a hole is drawn over it; a hole that shows background gets a shape of its own.

Simplified outlines are drawn as labelme will draw them, and points come back where that costs a class too much.
"""

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.labels.annotation import Mask, Point, Shape
from toolkit.labels.classmap import IGNORE, IGNORE_LABEL, ClassMap
from toolkit.labels.outline import Region, Walk, regions_of
from toolkit.labels.raster import Drawing
from toolkit.labels.simplify import Outlines

SPECK = 16
"""Pixels; smaller regions are left out of polygons unless told otherwise, as long as that costs no class too much."""

_SPECKS_SHARE = 0.001
"""Of a class's pixels, what specks may take from it, and what they may add."""
_LOSS = 0.012
"""What a tolerance of one pixel may cost a class of its IoU; it grows with the square. With what specks may take, that is
half of one percent at the usual tolerance of half a pixel."""
_STEPS = [(factor, share) for factor in (0.7, 0.4, 0.0) for share in (0.5, 1.0)]
"""By how much the tolerance is lowered where too much is wrong, and for how many of the wrong points at a time."""
_FEWEST_POINTS = 3
_MOST_BITMAPS = 400_000_000
"""Pixels of all bitmaps of a file together, holes and surroundings included; reading them again has a limit, too."""
_TILE = 1024
_STRIP = 256

Text = str | Callable[[Region, Mask], str]
"""The description of every shape, or what makes it from the shape's region and the mask without specks."""


def trace(
    mask: Mask,
    classes: ClassMap,
    *,
    shapes: str = "polygon",
    tolerance: float = 0.5,
    min_area: int | None = None,
    text: Text = "",
) -> tuple[Shape, ...]:
    """uint8 (H, W) -> shapes in drawing order.

    shapes      "polygon", or "mask": a bitmap for each region, exact and in no need of order
    tolerance   how far, in pixels, a polygon may leave out the true outline (Douglas and Peucker 1973); 0: not at all.
                It stays closer where labelme's drawing of it would cost a class more of its intersection over union
                with the mask than 0.3 % at half a pixel, 1.2 % at one, growing with the square, and where, without
                a class for background, a pixel would be left over. At most a twelfth of a region's width is tolerated
    min_area    regions of fewer pixels, holes included, become what lies around them; 0: none. None: for polygons 16,
                as long as no class loses or gains a thousandth of its pixels by it, for bitmaps 0
    text        description of every shape

    With tolerance and min_area 0, and always with bitmaps and min_area 0, the drawn shapes are the mask. Background
    becomes a polygon only where it is a hole, never a bitmap; ignore (255) becomes `__ignore__`, which converting
    turns into ignore again.
    """
    limit = min_area if min_area is not None else SPECK if shapes == "polygon" else 0
    cleaned, regions = _without_specks(mask, limit, thrifty=min_area is None)
    background = classes.background
    if shapes == "mask":
        kept = [region for region in regions if region.class_id != background]
        return tuple(_bitmaps(kept, cleaned, classes, text))
    regions = _worth_drawing(regions, mask.shape, background)
    if not regions:
        return ()
    outlines = _corners(cleaned, regions, background, tolerance)
    return tuple(
        Shape(
            _name(region, classes),
            "polygon",
            _as_points(outlines.corners(number)),
            text=_described(region, cleaned, text),
        )
        for number, region in enumerate(regions)
    )


def _all_regions(mask: Mask) -> list[Region]:
    return [region for class_id in np.flatnonzero(_counts(mask)).tolist() for region in regions_of(mask, class_id)]


def _counts(mask: Mask) -> npt.NDArray[np.int64]:
    """Pixels of each value: int64 (256,)."""
    parts = (np.bincount(mask[row : row + _STRIP].ravel(), minlength=256) for row in range(0, mask.shape[0], _STRIP))
    total = np.zeros(256, np.int64)
    for part in parts:
        total += part
    return total


def _without_specks(mask: Mask, limit: int, *, thrifty: bool) -> tuple[Mask, list[Region]]:
    """The mask in which regions of fewer than `limit` pixels have become what lies around them, and its regions.

    thrifty    not if it would take or add more than `_SPECKS_SHARE` of a class's pixels
    """
    regions = _all_regions(mask)
    spare = (_counts(mask) * _SPECKS_SHARE).astype(np.int64) if thrifty else np.full(256, np.iinfo(np.int64).max)
    lost, gained = np.zeros(256, np.int64), np.zeros(256, np.int64)
    cleaned = mask
    while True:
        before = cleaned
        for region in sorted((region for region in regions if region.filled < limit), key=lambda region: region.filled):
            old, size = region.class_id, region.filled
            new = _around(region, cleaned) if lost[old] + size <= spare[old] else None
            if new is None or gained[new] + size > spare[new]:
                continue
            if cleaned is before:
                cleaned = before.copy()
            lost[old] += size
            gained[new] += size
            left, top, right, bottom = region.box
            cleaned[top : bottom + 1, left : right + 1][region.pixels(before)] = new
        if cleaned is before:
            return cleaned, regions
        regions = _all_regions(cleaned)


def _around(region: Region, mask: Mask) -> int | None:
    """The class that most sides of a region's border touch; None if it has no neighbour."""
    x, y = region.walk[:, 0], region.walk[:, 1]
    touched = np.zeros(256, np.int64)
    for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0)):
        rows, columns = y + dy, x + dx
        inside = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
        touched += np.bincount(mask[rows[inside], columns[inside]], minlength=256)
    touched[region.class_id] = 0
    return int(touched.argmax()) if touched.any() else None


def _worth_drawing(regions: list[Region], size: tuple[int, int], background: int | None) -> list[Region]:
    """Largest first, without the background that nothing else would cover."""
    ordered = sorted(regions, key=lambda region: -region.filled)
    if background is None:
        return ordered
    covered = np.zeros(size, np.uint8)
    for region in ordered:
        if region.class_id != background:
            cv2.fillPoly(covered, [region.walk], (1,))
    return [r for r in ordered if r.class_id != background or covered[r.walk[0, 1], r.walk[0, 0]]]


def _corners(mask: Mask, regions: list[Region], blank: int | None, tolerance: float) -> Outlines:
    """The outlines of regions in drawing order, with corners enough.

    blank    the class of pixels that no shape covers, if there is one
    """
    limits = [min(tolerance, math.sqrt(region.filled) / 12) for region in regions]
    outlines = Outlines([region.walk for region in regions], limits)
    if tolerance <= 0:
        return outlines
    loss = _LOSS * tolerance**2
    for factor, share in _STEPS:
        wrong = _wrong_points(mask, regions, outlines, blank, loss)
        if wrong is None:
            return outlines
        outlines.refine(wrong, factor * tolerance, share)
    while (wrong := _wrong_points(mask, regions, outlines, blank, loss)) is not None and outlines.restore(wrong):
        pass
    return outlines


def _wrong_points(
    mask: Mask, regions: list[Region], outlines: Outlines, blank: int | None, loss: float
) -> npt.NDArray[np.bool_] | None:
    """Which points of the outlines lie beside a pixel that is drawn wrong and should not be; None: all is well."""
    shown = _counts(mask)
    nothing = blank if blank is not None else int(shown.argmin())  # a value that does not occur, in all but one case
    shapes = [Shape("", "polygon", _as_points(outlines.corners(number))) for number in range(len(regions))]
    image = Drawing(shapes, mask.shape).class_image([region.class_id for region in regions], background=nothing)
    places, truths, drawn = _differences(mask, image)
    both = shown - np.bincount(truths, minlength=256)
    either = shown + np.array(image.histogram(), np.int64) - both
    failing = both < (1 - loss) * either
    wrong = failing[truths] | failing[drawn] | ((drawn == nothing) & (blank is None))
    if not wrong.any():
        return None
    near = np.zeros(mask.shape, np.bool_)
    for rows, columns in _neighbours(places[wrong], mask.shape):
        near[rows, columns] = True
    return np.asarray(near[outlines.points[:, 1], outlines.points[:, 0]])


def _differences(
    mask: Mask, image: Image.Image
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Where a picture differs from the mask: places in reading order, what the mask has there, what the picture has."""
    found = []
    for row in range(0, mask.shape[0], _STRIP):
        truth = mask[row : row + _STRIP].ravel()
        drawn = np.asarray(image.crop((0, row, image.width, row + truth.size // image.width))).ravel()
        places = np.flatnonzero(truth != drawn)
        found.append((places + row * image.width, truth[places], drawn[places]))
    places, truths, values = zip(*found, strict=True)
    return np.concatenate(places), np.concatenate(truths), np.concatenate(values)


def _neighbours(
    places: npt.NDArray[np.int64], size: tuple[int, int]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Rows and columns of the pixels around each place and of its own, those at the border of the picture repeated."""
    rows, columns = np.divmod(places, size[1])
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            yield np.clip(rows + dy, 0, size[0] - 1), np.clip(columns + dx, 0, size[1] - 1)


def _as_points(corners: Walk) -> tuple[Point, ...]:
    """At least three, however small the region: labelme's polygons need them."""
    xy = [(float(x), float(y)) for x, y in corners.tolist()]
    return tuple(xy + xy[-1:] * (_FEWEST_POINTS - len(xy)))


def _name(region: Region, classes: ClassMap) -> str:
    return IGNORE_LABEL if region.class_id == IGNORE else classes.names[region.class_id]


def _described(region: Region, mask: Mask, text: Text) -> str:
    return text if isinstance(text, str) else text(region, mask)


def _bitmaps(regions: list[Region], mask: Mask, classes: ClassMap, text: Text) -> Iterator[Shape]:
    """One for each region; where the boxes of all are too much for one file, several with a group id of their own."""
    boxes = [region.box for region in regions]
    pixels = sum((right - left + 1) * (bottom - top + 1) for left, top, right, bottom in boxes)
    side = _TILE if pixels > _MOST_BITMAPS else max(mask.shape)
    for number, (region, (left, top, _, _)) in enumerate(zip(regions, boxes, strict=True), 1):
        whole = region.pixels(mask)
        said, group = _described(region, mask, text), number if max(whole.shape) > side else None
        for y in range(0, whole.shape[0], side):
            for x in range(0, whole.shape[1], side):
                part = whole[y : y + side, x : x + side]
                if part.any():
                    height, width = part.shape
                    first = (float(left + x), float(top + y))
                    last = (first[0] + width - 1, first[1] + height - 1)
                    yield Shape(_name(region, classes), "mask", (first, last), group, part, said)
