"""Where the regions of a mask begin and end: the walk along the border pixels of each.

A region is what hangs together by the sides of its pixels. Seen so, every region that another one encloses lies
inside its walk as a whole, which is what lets shapes be drawn over each other in the order of their sizes.
OpenCV follows borders (Suzuki and Abe 1985, in time and memory of the border's length) of what hangs together by
corners too; its walks are parted where they pass from corner to corner.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.labels.annotation import Mask

Walk = npt.NDArray[np.int32]
"""int32 (n, 2): x, y of border pixels, each a neighbour of the one before, the last of the first."""


@dataclass(frozen=True)
class Region:
    """Pixels of one class that hang together by their sides.

    class_id   their value in the mask
    walk       along its outer border, the pixels of the region itself
    filled     how many pixels lie on the walk and inside it, holes included
    """

    class_id: int
    walk: Walk
    filled: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """left, top, right, bottom; the last two inclusive."""
        left, top = self.walk.min(axis=0).tolist()
        right, bottom = self.walk.max(axis=0).tolist()
        return left, top, right, bottom

    def pixels(self, mask: Mask) -> npt.NDArray[np.bool_]:
        """Which pixels of its box are its own, without holes: bool (h, w)."""
        left, top, right, bottom = self.box
        part = (mask[top : bottom + 1, left : right + 1] == self.class_id).astype(np.uint8)
        x, y = self.walk[0].tolist()
        cv2.floodFill(part, None, (x - left, y - top), (2,), flags=4)
        return np.asarray(part == 2, np.bool_)


def regions_of(mask: Mask, class_id: int) -> list[Region]:
    """All regions of a class, in a fixed order. Needs two bytes for each pixel, for a moment."""
    where = np.equal(mask, class_id).view(np.uint8)
    contours, _ = cv2.findContours(where, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return []
    lengths = np.array([len(contour) for contour in contours], np.int64)
    points = np.concatenate([contour.reshape(-1, 2) for contour in contours]).astype(np.int32, copy=False)
    points, lengths = _without_standing(*_parted(points, lengths, where))
    starts = _starts(lengths)
    following = _following(lengths)
    x, y = points[:, 0].astype(np.int64), points[:, 1].astype(np.int64)
    doubled = np.add.reduceat(x * y[following] - x[following] * y, starts)  # twice the area between pixel centres
    # Pick's theorem, for what lies inside and on the walk; the walk around a hole runs the other way round
    filled = (-doubled + np.where(lengths > 1, lengths, 0)) // 2 + 1
    return [
        Region(class_id, points[start : start + length], count)
        for start, length, count, area in zip(
            starts.tolist(), lengths.tolist(), filled.tolist(), doubled.tolist(), strict=True
        )
        if area <= 0
    ]


def _starts(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.cumsum(lengths) - lengths


def _following(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The index of each point's next one, when closed walks of these lengths lie one after the other."""
    following = np.arange(1, int(lengths.sum()) + 1)
    following[_starts(lengths) + lengths - 1] = _starts(lengths)
    return following


def _parted(
    points: Walk, lengths: npt.NDArray[np.int64], where: npt.NDArray[np.uint8]
) -> tuple[Walk, npt.NDArray[np.int64]]:
    """Walks that step from corner to corner between two foreign pixels, without those steps.

    Each such step is made once in either direction. Who arrives there goes on, instead, where the step back ends.
    """
    x, y = points[:, 0], points[:, 1]
    following = _following(lengths)
    slanted = np.flatnonzero((x != x[following]) & (y != y[following]))
    after = following[slanted]
    steps = slanted[(where[y[slanted], x[after]] == 0) & (where[y[after], x[slanted]] == 0)]
    if not len(steps):
        return points, lengths
    spots = y.astype(np.int64) * where.shape[1] + x
    here, there = spots[steps], spots[following[steps]]
    pairs = np.lexsort((np.maximum(here, there), np.minimum(here, there)))
    back = np.empty_like(pairs)
    back[pairs[0::2]], back[pairs[1::2]] = pairs[1::2], pairs[0::2]

    starts = _starts(lengths)
    walks = np.searchsorted(starts, steps, "right") - 1
    first_step = np.searchsorted(walks, walks, "left")
    last = np.append(walks[1:] != walks[:-1], True)
    next_step = np.where(last, first_step, np.arange(1, len(steps) + 1))

    parts: list[npt.NDArray[np.int64]] = []
    new_lengths: list[int] = []
    step_at, back_at, next_at = steps.tolist(), back.tolist(), next_step.tolist()
    start_at, end_at = starts[walks].tolist(), (starts + lengths)[walks].tolist()
    done = [False] * len(step_at)
    for begin in range(len(step_at)):
        length, step = 0, begin
        while not done[step]:
            done[step] = True
            end = next_at[step]
            if step_at[end] > step_at[step]:
                pieces = [np.arange(step_at[step] + 1, step_at[end] + 1)]
            else:
                pieces = [np.arange(step_at[step] + 1, end_at[step]), np.arange(start_at[step], step_at[end] + 1)]
            parts += pieces
            length += sum(map(len, pieces))
            step = back_at[end]
        if length:
            new_lengths.append(length)
    untouched = np.ones(len(lengths), np.bool_)
    untouched[walks] = False
    rest = np.flatnonzero(np.repeat(untouched, lengths))
    return points[np.concatenate([rest, *parts])], np.concatenate([lengths[untouched], np.array(new_lengths, np.int64)])


def _without_standing(points: Walk, lengths: npt.NDArray[np.int64]) -> tuple[Walk, npt.NDArray[np.int64]]:
    """Walks without steps that lead nowhere; one pixel remains of each."""
    moving = (points != points[_following(lengths)]).any(axis=1)
    counts = np.add.reduceat(moving, _starts(lengths), dtype=np.int64)
    moving[_starts(lengths)[counts == 0]] = True
    return points[moving], np.maximum(counts, 1)
