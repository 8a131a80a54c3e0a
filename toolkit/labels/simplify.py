"""Fewer points for many closed walks at once: Douglas and Peucker 1973, without recursion and without a loop over them."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from toolkit.labels.outline import Walk

_AT_ONCE = 500_000
"""Points that are looked at together: bounds the memory of the figures between."""

_STRAIGHT = 1e-6
"""Square of a distance that is none."""

_Numbers = npt.NDArray[np.int64]


class Outlines:
    """Closed walks, of which some points are kept as corners; the first one always is.

    points    int32 (n, 2), all walks one after the other, each closed by its first point once more
    kept      bool (n,), the corners
    """

    def __init__(self, walks: Sequence[Walk], tolerances: Sequence[float]) -> None:
        """tolerances: for each walk, how far its points may lie from the lines between the corners, in pixels."""
        lengths = np.array([len(walk) + 1 for walk in walks], np.int64)
        self._ends = np.cumsum(lengths)
        self._firsts = self._ends - lengths
        self.points = np.concatenate([part for walk in walks for part in (walk, walk[:1])])
        self.kept = np.zeros(len(self.points), np.bool_)
        self.kept[self._firsts] = self.kept[self._ends - 1] = True
        self._part(self._firsts, self._ends - 1, np.maximum(np.asarray(tolerances, np.float64) ** 2, _STRAIGHT))

    def __len__(self) -> int:
        return len(self._ends)

    def corners(self, number: int) -> Walk:
        """int32 (n, 2), without the closing point."""
        part = slice(self._firsts[number], self._ends[number] - 1)
        return self.points[part][self.kept[part]]

    def refine(self, wrong: npt.NDArray[np.bool_], tolerance: float, share: float) -> bool:
        """Ask for a smaller tolerance between some corners; whether that added any.

        share    of the wrong points, how many are seen to: where most lie between two corners first
        """
        corners = np.flatnonzero(self.kept)
        begins, ends = corners[:-1], corners[1:]
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(wrong, dtype=np.int64)])
        counts = before[ends] - before[begins + 1]  # none between the end of a walk and the beginning of the next
        order = np.argsort(-counts, kind="stable")
        enough = int(np.searchsorted(np.cumsum(counts[order]), share * counts.sum())) + 1
        worst = np.sort(order[:enough][counts[order[:enough]] > 0])
        return self._part(begins[worst], ends[worst], np.full(len(worst), max(tolerance**2, _STRAIGHT)))

    def restore(self, wrong: npt.NDArray[np.bool_]) -> bool:
        """Give the walks that have wrong points all the corners that they need to be exact; whether that added any."""
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(wrong, dtype=np.int64)])
        touched = before[self._ends] - before[self._firsts] > 0
        corners = np.flatnonzero(self.kept)
        begins, ends = corners[:-1], corners[1:]
        inside = touched[np.searchsorted(self._ends, begins, "right")]
        return self._part(begins[inside], ends[inside], np.full(int(inside.sum()), _STRAIGHT))

    def _part(self, begins: _Numbers, ends: _Numbers, limits: npt.NDArray[np.float64]) -> bool:
        """Add the point furthest from each line until none is further than the limit (squared)."""
        parted = False
        long = ends - begins > 1
        begins, ends, limits = begins[long], ends[long], limits[long]
        while len(begins):
            found = [self._furthest(begins[part], ends[part]) for part in _portions(ends - begins)]
            middle = np.concatenate([points for points, _ in found])
            distances = np.concatenate([squares for _, squares in found])
            beyond = distances > limits
            begins, ends, middle, limits = begins[beyond], ends[beyond], middle[beyond], limits[beyond]
            self.kept[middle] = True
            parted = parted or bool(len(middle))
            begins, ends = np.concatenate([begins, middle]), np.concatenate([middle, ends])
            limits = np.concatenate([limits, limits])
            long = ends - begins > 1
            begins, ends, limits = begins[long], ends[long], limits[long]
        return parted

    def _furthest(self, begins: _Numbers, ends: _Numbers) -> tuple[_Numbers, npt.NDArray[np.float64]]:
        """For each line the point between its ends that is furthest from it, and the square of the distance."""
        lengths = ends - begins - 1
        starts = np.cumsum(lengths) - lengths
        index = np.repeat(begins + 1 - starts, lengths) + np.arange(int(lengths.sum()))
        origin = self.points[begins].astype(np.float64)
        way = self.points[ends] - origin
        square = np.maximum((way**2).sum(axis=1), 1e-9)
        offset = self.points[index] - np.repeat(origin, lengths, axis=0)
        way = np.repeat(way, lengths, axis=0)
        along = np.clip((offset * way).sum(axis=1) / np.repeat(square, lengths), 0, 1)
        offset -= along[:, None] * way
        distances = (offset**2).sum(axis=1)
        most = np.maximum.reduceat(distances, starts)
        places = np.flatnonzero(distances == np.repeat(most, lengths))
        first = np.searchsorted(places, starts, "left")
        return index[places[first]], most


def _portions(lengths: _Numbers) -> Iterator[slice]:
    """Slices of a list of lines that have about `_AT_ONCE` points each."""
    numbers = np.cumsum(lengths) // _AT_ONCE
    borders = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(lengths)]
    for begin, end in itertools.pairwise(borders):
        yield slice(begin, end)
