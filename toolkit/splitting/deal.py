"""Dealing units to sides by size alone; who comes first is decided by the order of the units."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def evenly(images: Ints, targets: Sequence[int], fixed: Ints, number: int = 0) -> Ints:
    """int64 (U,): each unit, the largest first, on the side that lacks most images.

    images   int64 (U,) of each unit
    targets  images of each side
    fixed    int64 (U,): the side of units that must not move, -1 for the others
    number   above 0: in another order, a different one for each number
    """
    sides = fixed.copy()
    lacks = [target - int(images[fixed == side].sum()) for side, target in enumerate(targets)]
    sizes = images.tolist()
    free = np.flatnonzero(fixed < 0).tolist()
    if number:
        free.sort(key=lambda unit: hashlib.sha256(b"%d %d" % (number, unit)).digest())
    else:
        free.sort(key=lambda unit: -sizes[unit])
    for unit in free:
        side = max(range(len(lacks)), key=lacks.__getitem__)
        sides[unit] = side
        lacks[side] -= sizes[unit]
    return sides


def in_order(images: Ints, targets: Sequence[int], fixed: Ints) -> Ints:
    """int64 (U,): from the first unit on, the last sides are filled; what is left is on side 0.

    A unit is taken if a side is nearer to its target with it than without. Arguments as above; no side stays empty if
    there are as many units as sides.
    """
    sides = np.where(fixed < 0, 0, fixed)
    left = np.flatnonzero(fixed < 0).tolist()
    for side in range(1, len(targets)):
        lacks = targets[side] - int(images[fixed == side].sum())
        needs_one = not (fixed == side).any()
        for_others = len(targets) - 1 - side + (0 if (fixed == 0).any() else 1)
        taken: list[int] = []
        for unit in left:
            if len(left) - len(taken) <= for_others or lacks <= 0:
                break
            if images[unit] <= 2 * lacks:
                taken.append(unit)
                lacks -= int(images[unit])
        if needs_one and not taken:
            taken = [min(left, key=lambda unit: int(images[unit]))]
        sides[taken] = side
        left = [unit for unit in left if sides[unit] == 0]
    return sides
