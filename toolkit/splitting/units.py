"""Images that stay together, and what they hold."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.splitting.balance import Units
from toolkit.splitting.bonds import Bond
from toolkit.splitting.deal import Ints


@dataclass(frozen=True)
class Unit:
    """Images that go to one side, by stem; -1: to whichever."""

    stems: tuple[str, ...]
    side: int = -1


def make_units(stems: Sequence[str], bonds: Sequence[Bond], sides: Mapping[str, int], seed: int) -> list[Unit]:
    """Every stem in one unit, in an order that the seed and the names alone decide.

    sides   of stems that stay where they are; what is bonded to one of them goes there, too
    """
    inside = set(stems)
    made, bonded = [], set[str]()
    for bond in bonds:
        members = [stem for stem in bond.stems if stem in inside]
        bonded.update(members)
        free = tuple(stem for stem in members if stem not in sides)
        there = [sides[stem] for stem in members if stem in sides]
        made += [Unit((stem,), sides[stem]) for stem in members if stem in sides]
        if free:
            made.append(Unit(free, min(there, default=-1)))
    made += [Unit((stem,), sides.get(stem, -1)) for stem in stems if stem not in bonded]
    return sorted(made, key=lambda unit: hashlib.sha256(f"{seed}\0{min(unit.stems)}".encode()).digest())


def enough(units: Sequence[Unit], sides: int) -> bool:
    """Whether no side has to stay empty."""
    taken = {unit.side for unit in units if unit.side >= 0}
    return len(taken) + sum(unit.side < 0 for unit in units) >= sides


def content(units: Sequence[Unit], row_of: Mapping[str, int], pixels: Ints) -> Units:
    """What units hold, from the pixels of each image, int64 (n, K), whose rows `row_of` tells."""
    members = [[row_of[stem] for stem in unit.stems] for unit in units]
    flat = np.array([row for rows in members for row in rows], np.int64)
    starts = np.cumsum([0, *map(len, members)])[:-1]
    taken = pixels[flat]
    return Units(
        images=np.array([len(rows) for rows in members], np.int64),
        presence=np.add.reduceat((taken > 0).astype(np.int64), starts, axis=0),
        pixels=np.add.reduceat(taken, starts, axis=0),
    )
