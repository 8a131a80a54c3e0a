"""Where a sample's pixels go: one affine map for picture and mask, drawn and applied.

H, W: the picture; h, w: after scaling; S: the side of the square that the network sees. Positions are in pixels with
pixel 0 from 0 to 1, so its centre is at 0.5; y before x, as in (H, W).
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.data.augment import Augment
from toolkit.data.preprocess import resize_image, resize_mask
from toolkit.labels.annotation import Mask
from toolkit.labels.classmap import IGNORE

Pixels: TypeAlias = npt.NDArray[np.uint8]
Matrix: TypeAlias = npt.NDArray[np.float64]

DICE = 10
"""How many numbers `draw_warp` wants."""

_MARGIN = 2  # pixels around what is sampled, for the neighbours that bilinear sampling wants
_LARGEST_SIDE = 16_384  # OpenCV samples from pictures of at most 32,766 pixels a side


@dataclass(frozen=True)
class Patch:
    """The part of the square that the picture covers, not yet placed in it.

    image     uint8 (h, w, 3) RGB
    mask      uint8 (r h, r w) of ids; r is 1 unless masks are to be finer than pictures
    at        row and column of the square where the patch begins
    outside   bool (h, w): pixels of the patch where there is no picture; None: there are none
    """

    image: Pixels
    mask: Mask
    at: tuple[int, int] = (0, 0)
    outside: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Warp:
    """What was drawn.

    size     (h, w) of the whole picture after scaling
    degrees  turn, counterclockwise to the eye
    shift    see `Augment`
    places   four numbers in [0, 1): which part is cut (y, x) and where it lies (y, x)
    shown    (row, column) of a pixel of the picture that has to be in view; None: any part will do
    """

    size: tuple[int, int]
    degrees: float
    shift: float
    places: tuple[float, float, float, float]
    shown: tuple[int, int] | None


def draw_warp(mask: Mask, fitted: tuple[int, int], side: int, augment: Augment, dice: list[float]) -> Warp:
    """Draw from ten numbers in [0, 1), each for a purpose of its own: an option leaves the others' draws as they are.

    fitted    (h, w) of the picture at zoom 1
    """
    zoom = math.exp(_between(dice[0], math.log(augment.scale[0]), math.log(augment.scale[1])))
    stretch = math.exp((dice[1] - 0.5) * math.log(augment.aspect))
    size = max(1, round(fitted[0] * zoom / stretch)), max(1, round(fitted[1] * zoom * stretch))
    turned = augment.rotation > 0 and dice[2] < augment.rotation_chance
    degrees = _between(dice[3], -augment.rotation, augment.rotation) if turned else 0.0
    places = dice[4], dice[5], dice[6], dice[7]
    shown = None
    if dice[8] < augment.rare and (degrees or max(size) > side):
        shown = _pixel_of_a_class(mask, dice[9])
    return Warp(size, degrees, augment.shift, places, shown)


def apply_warp(image: Pixels, mask: Mask, warp: Warp, side: int, finer: int = 1) -> Patch:
    """uint8 (H, W, 3) and (H, W) -> what of them is in a square of `side` pixels, the mask `finer` times as fine.

    Pictures are averaged over areas where they shrink and are bilinear where they grow or turn; masks are sampled at
    the centres of the same pixels, so no id appears that was not there.
    """
    return (_turned if warp.degrees else _upright)(image, mask, warp, side, finer)


def _upright(image: Pixels, mask: Mask, warp: Warp, side: int, finer: int) -> Patch:
    """Cut what is needed, in whole pixels, then scale it: the same map without a pixel computed in vain."""
    spans, size, at = [], [], []
    for axis in (0, 1):
        length, scaled = mask.shape[axis], warp.size[axis]
        if scaled <= side:
            spans.append(slice(0, length))
            size.append(scaled)
            at.append(int(warp.places[2 + axis] * (warp.shift * (side - scaled) + 1)))
            continue
        count = min(length, max(1, round(side * length / scaled)))
        kept = round((length - count) * (1 - warp.shift) / 2)
        low, high = kept, length - count - kept
        if warp.shown is not None:
            nearest = warp.shown[axis]
            low, high = (min(max(bound, nearest - count + 1), nearest) for bound in (low, high))
        start = low + int(warp.places[axis] * (high - low + 1))
        spans.append(slice(start, start + count))
        size.append(side)
        at.append(0)
    rows, columns = spans
    view = resize_image(image[rows, columns], (size[0], size[1]))
    ids = resize_mask(mask[rows, columns], (finer * size[0], finer * size[1]))
    return Patch(view, ids, at=(at[0], at[1]))


def _turned(image: Pixels, mask: Mask, warp: Warp, side: int, finer: int) -> Patch:
    """Cut the surroundings of what is needed, reduce them to about the size in view, then turn.

    Reduced first, because bilinear sampling looks at four pixels, however many the picture has for one in view.
    """
    H, W = mask.shape
    back = _back(warp, (H, W), side)
    scales = warp.size[0] / H, warp.size[1] / W
    window = _needed(back, (H, W), scales, side)
    part = mask[window]
    few = _thinned(part)

    def turned(finer: int, outside: int) -> Mask:
        turn = _indexed(np.hstack([back[:, :2] / finer, back[:, 2:]]), window, (few.shape[0], few.shape[1]))
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(few, turn, (finer * side,) * 2, flags=flags, borderValue=outside), np.uint8)

    ids = turned(finer, IGNORE)
    outside = (ids if finer == 1 else turned(1, IGNORE)) != turned(1, 0)  # only what lies outside took both values
    seen = image[window]
    reduced = _reduced(part.shape[0], scales[0]), _reduced(part.shape[1], scales[1])
    view = cv2.warpAffine(
        resize_image(seen, reduced),
        _indexed(back, window, reduced),
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,  # the filling must not bleed into the picture
    )
    return Patch(np.asarray(view, np.uint8), ids, outside=outside)


def _back(warp: Warp, full: tuple[int, int], side: int) -> Matrix:
    """The map from the square to the picture, float64 (2, 3), for columns (x, y, 1).

    The point `centre` of the scaled picture comes to lie at `there` in the square, and the picture is turned about it.
    """
    angle = math.radians(warp.degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])  # y points down: this is counterclockwise to the eye
    grown = np.array([warp.size[1] / full[1], warp.size[0] / full[0]])
    shown = None if warp.shown is None else (np.array(warp.shown[::-1]) + 0.5) * grown
    box = np.abs(turn) @ np.array(warp.size[::-1], np.float64)
    centre, there = np.empty(2), np.empty(2)
    for column, axis in ((0, 1), (1, 0)):
        near = None if shown is None else float(shown[column])
        centre[column] = _cut_centre(warp.size[axis], side, warp.shift, warp.places[axis], near)
        room = side - box[column]
        there[column] = box[column] / 2 + warp.shift * warp.places[2 + axis] * room if room > 0 else side / 2
    if shown is not None:
        seen_at = turn @ (shown - centre) + there
        there += seen_at.clip(1, max(1, side - 1)) - seen_at
    return np.asarray(np.column_stack([turn.T, centre - turn.T @ there]) / grown[:, None], np.float64)


def _cut_centre(scaled: int, side: int, shift: float, place: float, shown: float | None) -> float:
    """The middle of what is cut along one side of the scaled picture."""
    if scaled <= side:
        return scaled / 2
    low, high = (scaled / 2 + sign * shift * (scaled - side) / 2 for sign in (-1, 1))
    if shown is not None:
        low, high = (min(max(bound, shown - side / 2), shown + side / 2) for bound in (low, high))
    return low + place * (high - low)


def _needed(back: Matrix, full: tuple[int, int], scales: tuple[float, float], side: int) -> tuple[slice, slice]:
    """The rows and columns of the picture that the square looks at, at least one of each."""
    corners = back[:, :2] @ np.array([[0, side, 0, side], [0, 0, side, side]], np.float64) + back[:, 2:]
    spans = []
    for axis in (0, 1):
        along, margin = corners[1 - axis], _MARGIN * max(1.0, 1 / scales[axis])
        start = min(max(0, math.floor(along.min() - margin)), full[axis] - 1)
        spans.append(slice(start, max(start + 1, min(full[axis], math.ceil(along.max() + margin)))))
    return spans[0], spans[1]


def _thinned(mask: Mask) -> Mask:
    """At most as many rows and columns as OpenCV can tell apart, evenly chosen."""
    for axis in (0, 1):
        length = mask.shape[axis]
        if length > _LARGEST_SIDE:
            centres = (np.arange(_LARGEST_SIDE) + 0.5) * (length / _LARGEST_SIDE)
            mask = mask.take(centres.astype(np.intp), axis)
    return mask


def _reduced(length: int, scale: float) -> int:
    return min(length, max(1, round(length * scale)))


def _indexed(back: Matrix, window: tuple[slice, slice], size: tuple[int, int]) -> Matrix:
    """The map to the picture's `window` after it was scaled to `size`, for OpenCV, which puts pixel centres at 0, 1, 2."""
    origin = np.array([[window[1].start], [window[0].start]])
    scales = np.array([[size[1] / _length(window[1])], [size[0] / _length(window[0])]])
    turn, offset = back[:, :2] * scales, (back[:, 2:] - origin) * scales
    return np.hstack([turn, offset + turn.sum(axis=1, keepdims=True) / 2 - 0.5])


def _length(span: slice) -> int:
    return int(span.stop - span.start)


def _pixel_of_a_class(mask: Mask, die: float) -> tuple[int, int] | None:
    """A pixel of a class drawn evenly among those of the mask, then evenly among its pixels; None if all are ignore."""
    counts = cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel()  # several times as fast as numpy's bincount
    present = np.flatnonzero(counts[:IGNORE])
    if not present.size:
        return None
    drawn = die * present.size
    marked = mask == present[int(drawn)]
    in_rows = np.cumsum(np.count_nonzero(marked, axis=1))
    number = int((drawn % 1) * in_rows[-1])  # what is left of the die after the class
    row = int(np.searchsorted(in_rows, number, side="right"))
    before = int(in_rows[row - 1]) if row else 0
    return row, int(np.flatnonzero(marked[row])[number - before])


def _between(die: float, low: float, high: float) -> float:
    return low + die * (high - low)
