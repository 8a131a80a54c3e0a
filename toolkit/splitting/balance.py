"""Which images go to which side, so that the sides are alike: in size, in the classes they hold, and in pixels.

What is moved is a unit: an image, or images that have to stay together. A first deal gives the largest units first to
the side that lacks most; then the two sides of every pair swap and hand over units as long as that helps. What helps is
decided in this order: a class that lacks on a side, then the number of images, then how far presence and pixels of the
classes are from their shares. Rare classes first, as in K. Sechidis, G. Tsoumakas and I. Vlahavas, "On the
Stratification of Multi-Label Data" (ECML PKDD 2011), is what that order amounts to.

All sums are of whole numbers below 2^53, so the result does not depend on the order in which a processor adds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.splitting.deal import Ints, evenly

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_SCALE = 1 << 20
"""The whole of a class, in which shares are measured."""
_SIZE_WEIGHT = 4
"""How much more a share of images counts than one of a class, where units differ in size."""

_FEW_UNITS = 300  # so many or fewer are dealt several times
_DEALS = 8
_SWEEPS = 4
_MOST_SWAPS = 4000  # in a sweep over all pairs of sides; each takes a millisecond or two
_GIVERS, _TAKERS = 128, 1024  # units of two sides that are compared with each other at a time
_WINDOWS = 6
_WORTH_WHILE = 0.0001  # of what is uneven between two sides
_NEAR_ENOUGH = _SCALE // 2000  # a twentieth of a per cent


@dataclass(frozen=True)
class Units:
    """What is divided, in an order that nothing outside decides; of equal choices the first is taken.

    images     int64 (U,) how many images a unit has
    presence   int64 (U, K) in how many of them a class occurs
    pixels     int64 (U, K) pixels of each class
    """

    images: Ints
    presence: Ints
    pixels: Ints

    def __len__(self) -> int:
        return len(self.images)

    def take(self, chosen: Ints) -> "Units":
        """Some of them, by number."""
        return Units(self.images[chosen], self.presence[chosen], self.pixels[chosen])

    @property
    def carriers(self) -> Ints:
        """int64 (K,): in how many units a class occurs."""
        return np.asarray((self.presence > 0).sum(0), np.int64)


def divide(units: Units, targets: Sequence[int], fixed: Ints | None = None, *, ranked: bool = True) -> Ints:
    """The side 0..P-1 of each unit, int64 (U,).

    targets   images of each side; they sum to all images
    fixed     int64 (U,): the side of units that must not move, -1 for the others
    ranked    a class of few units is on the first sides (train, then val, then test); False: sides are equal (folds),
              and such a class is on as many of them as it has units
    """
    held = np.full(len(units), -1, np.int64) if fixed is None else fixed
    free = int((held < 0).sum())
    best: tuple[tuple[float, ...], Ints] | None = None
    halves = [int(units.images.sum()) // len(targets)] * len(targets)  # from there, sides that have to grow can
    for number in range(_DEALS if free <= _FEW_UNITS else 1):
        start = evenly(units.images, halves if number % 2 else targets, held, number)
        table = _Table(units, targets, start, held, ranked=ranked)
        table.improve()
        if best is None or table.faults() < best[0]:
            best = table.faults(), table.sides
    assert best is not None
    return best[1]


class _Table:
    """Units on sides, and what is wrong with that.

    x        float64 (U, F) of whole numbers: each class's presence and pixels as parts of `_SCALE`, and the size
    has      bool (U, K): the classes of a unit
    off      float64 (P, F): sums over the units of a side, less their targets
    holders  int64 (P, K): units of a side that have a class
    over     int64 (P,): images of a side, less their target
    """

    def __init__(self, units: Units, targets: Sequence[int], sides: Ints, fixed: Ints, *, ranked: bool) -> None:
        self.sides, self._fixed, self._ranked = sides, fixed, ranked
        self._images = units.images
        self._targets = np.array(targets, np.int64)
        self._exact = bool((units.images == 1).all())  # else sizes are one wish among others
        self._carriers = units.carriers
        self._has = units.presence > 0
        self._x = _features(units, with_size=not self._exact)
        total, everything = self._x.sum(0), max(1, int(self._targets.sum()))
        wanted = [np.floor(total * target / everything) for target in targets]
        belong = [sides == side for side in range(len(targets))]
        self._off = np.stack([self._x[here].sum(0) - aim for here, aim in zip(belong, wanted, strict=True)])
        self._holders = np.stack([self._has[here].sum(0) for here in belong]).astype(np.int64)
        self._over = np.array([units.images[here].sum() for here in belong], np.int64) - self._targets

    def faults(self) -> tuple[float, ...]:
        """What is wrong, the worse first: to be compared with that of another division."""
        return self._lacking(), float((self._over**2).sum()) if self._exact else 0.0, float((self._off**2).sum())

    def _lacking(self) -> int:
        """How often a class is not on a side where it could be, and how often a side is empty."""
        sides = len(self._targets)
        on = self._holders > 0
        if self._ranked:
            due = self._carriers > np.arange(sides)[:, None]
            lacks = int((due & ~on).sum())
        else:
            lacks = int((np.minimum(self._carriers, sides) - on.sum(0)).sum())
        empty = int((self._over + self._targets <= 0).sum())
        return lacks + empty * (int(self._has.shape[1]) + 1)

    def improve(self) -> None:
        """Swap and hand over units between all pairs of sides until nothing helps, or enough was done."""
        for _ in range(_SWEEPS):
            pairs = list(combinations(range(len(self._targets)), 2))
            most = max(10, _MOST_SWAPS // (len(pairs) * _WINDOWS))
            moved = [self._improve_pair(a, b, most) for a, b in pairs]
            if not any(moved):
                return

    def _improve_pair(self, a: int, b: int, most: int) -> bool:
        moved = False
        for givers, takers in self._windows(a, b):
            for _ in range(most):
                if not self._best_swap(a, b, givers, takers):
                    break
                moved = True
            if not self._lacks(a, b).any() and np.abs(self._off[[a, b]]).max(initial=0) <= _NEAR_ENOUGH:
                break
        return moved

    def _windows(self, a: int, b: int) -> Iterator[tuple[Ints, Ints]]:
        """Units of b and of a to be compared: all if they are few, else some at a time, those in need always.

        Each begins with -1, "none": swapped with none, a unit is handed over.
        """
        for window in range(_WINDOWS):
            in_need = self._lacks(a, b)
            sets = []
            for side, most in ((b, _GIVERS), (a, _TAKERS)):
                free = np.flatnonzero((self.sides == side) & (self._fixed < 0))
                chosen = free
                if len(free) > most:
                    needed = free[self._has[np.ix_(free, in_need)].any(1)][: most // 2]
                    turn = (window * most + np.arange(most - len(needed))) % len(free)
                    chosen = np.union1d(needed, free[turn])
                sets.append(np.concatenate([[-1], chosen]))
            yield sets[0], sets[1]
            if len(sets[0]) <= _GIVERS and len(sets[1]) <= _TAKERS:
                return

    def _due(self, a: int, b: int) -> tuple[Bools, Bools]:
        """Classes that have to be on each of two sides, given how many of their units these two have."""
        units = self._holders[a] + self._holders[b]
        both = units >= 2
        return (units >= 1 if self._ranked else both), both

    def _lacks(self, a: int, b: int) -> Bools:
        due_a, due_b = self._due(a, b)
        lacks: Bools = (due_a & (self._holders[a] == 0)) | (due_b & (self._holders[b] == 0))
        return lacks

    def _best_swap(self, a: int, b: int, givers: Ints, takers: Ints) -> bool:
        """Move one of `givers` from b to a and one of `takers` from a to b, if that helps; keeps both lists true."""
        v, t = self._rows(self._x, givers), self._rows(self._x, takers)
        lacking = self._lacking_after(a, b, givers, takers)
        size_v, size_t = self._rows(self._images, givers)[:, None], self._rows(self._images, takers)[None]
        over_a, over_b = self._over[a] + size_v - size_t, self._over[b] - size_v + size_t
        emptied = (over_a + self._targets[a] <= 0) | (over_b + self._targets[b] <= 0)
        lacking += emptied * (self._has.shape[1] + 1.0)
        allowed = lacking == lacking.min()
        sizes = np.zeros_like(lacking)
        if self._exact:
            sizes = over_a**2 + over_b**2
            allowed &= sizes == sizes[allowed].min()
        change = self._off[b] - self._off[a]
        # |off_a + v - t|^2 + |off_b - v + t|^2, without what all pairs have in common
        uneven = 2 * ((v * v).sum(1) - v @ change)[:, None] + 2 * ((t * t).sum(1) + t @ change)[None] - 4 * (v @ t.T)
        place = int(np.where(allowed, uneven, np.inf).argmin())
        row, column = divmod(place, len(takers))
        new = (lacking[row, column], sizes[row, column], uneven[row, column])
        now = (lacking[0, 0], sizes[0, 0], uneven[0, 0] - _WORTH_WHILE * (self._off[[a, b]] ** 2).sum())
        if not new < now:
            return False
        self._move(int(givers[row]), b, a)
        self._move(int(takers[column]), a, b)
        if row and column:
            givers[row], takers[column] = takers[column], givers[row]
        elif row:
            givers[row] = -1
        else:
            takers[column] = -1
        return True

    def _lacking_after(self, a: int, b: int, givers: Ints, takers: Ints) -> Floats:
        """float64 (V, T): how many classes a side of the two lacks after each swap."""
        due_a, due_b = self._due(a, b)
        gives, takes = self._rows(self._has, givers), self._rows(self._has, takers)
        count = np.zeros((len(givers), len(takers)))
        none, last = due_a & (self._holders[a] == 0), due_a & (self._holders[a] == 1)
        count += (1.0 - gives[:, none]).sum(1)[:, None] + (1.0 - gives[:, last]) @ takes[:, last].T
        none, last = due_b & (self._holders[b] == 0), due_b & (self._holders[b] == 1)
        count += (1.0 - takes[:, none]).sum(1)[None] + gives[:, last] @ (1.0 - takes[:, last]).T
        return count

    @staticmethod
    def _rows(values: npt.NDArray[Any], units: Ints) -> Floats:
        """float64: the rows of some units; zeros for -1."""
        rows = values[units].astype(np.float64)
        rows[units < 0] = 0
        return rows

    def _move(self, unit: int, source: int, goal: int) -> None:
        if unit < 0:
            return
        self.sides[unit] = goal
        for side, sign in ((source, -1), (goal, 1)):
            self._off[side] += sign * self._x[unit]
            self._holders[side] += sign * self._has[unit]
            self._over[side] += sign * self._images[unit]


def _features(units: Units, *, with_size: bool) -> Floats:
    """float64 (U, F) of whole numbers. A class of a single unit cannot be divided, so it is left out."""
    useful = units.carriers >= 2
    columns = [
        table[:, useful] * _SCALE // np.maximum(1, table[:, useful].sum(0)) for table in (units.presence, units.pixels)
    ]
    if with_size:
        weight = isqrt(_SIZE_WEIGHT * max(1, int(useful.sum())))
        columns.append((units.images * (_SCALE * weight) // units.images.sum())[:, None])
    return np.concatenate(columns, axis=1).astype(np.float64)
