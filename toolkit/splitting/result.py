"""What a split came to: the stems of each side, how alike the sides are, and what could not be had."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.splitting.bonds import Bond
from toolkit.splitting.lists import Lists
from toolkit.splitting.options import SplitOptions
from toolkit.voc.counts import MaskTable, PixelCounts

RANDOM, STRATIFIED, FOLDS = "random", "stratified", "stratified folds"


@dataclass(frozen=True)
class Split:
    """Stems of each side, sorted, and how they were chosen.

    folds      the validation images of each fold; train and val are then those of the first one
    classes    names of the classes
    counts     pixels of the classes by side: `train`, `val`, `test`, or `fold 1`, `fold 2`, ...
    together   images that were kept on one side
    left_out   images that are on no side, because they belong to a test image that was given
    notes      what could not be had as it was asked for, a sentence each
    dataset    fingerprint of what was divided: stems and pixels by class
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    options: SplitOptions
    classes: tuple[str, ...]
    counts: Mapping[str, PixelCounts] = field(compare=False)
    folds: tuple[tuple[str, ...], ...] = ()
    together: tuple[Bond, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    dataset: str = ""

    @property
    def seed(self) -> int:
        return self.options.seed

    @property
    def rule(self) -> str:
        """How images were chosen: stratified, stratified folds or random."""
        return RANDOM if self.options.random else FOLDS if self.folds else STRATIFIED

    @property
    def trainval(self) -> tuple[str, ...]:
        """Train and val together, sorted; one image that is in both is named once."""
        return tuple(sorted({*self.train, *self.val}))

    def lists(self) -> Lists:
        """The stems by list name."""
        lists = {"train": self.train, "val": self.val, "trainval": self.trainval, "test": self.test}
        for number, fold in enumerate(self.folds, 1):
            members = set(fold)
            lists[f"fold_{number}/train"] = tuple(stem for stem in self.trainval if stem not in members)
            lists[f"fold_{number}/val"] = fold
        return lists

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        sides = {stem: name for name in ("train", "val", "test") for stem in getattr(self, name)}
        if self.folds:
            sides |= {stem: f"fold {number}" for number, fold in enumerate(self.folds, 1) for stem in fold}
        return {
            "rule": self.rule,
            "seed": self.seed,
            "options": self.options.as_dict(),
            "images": {name: len(stems) for name, stems in self.lists().items()},
            "classes": {name: self._class_dict(index) for index, name in enumerate(self.classes)},
            "together": [
                {"images": list(bond.stems), "why": bond.why, "side": sides.get(bond.stems[0])}
                for bond in self.together
            ],
            "left_out": list(self.left_out),
            "notes": list(self.notes),
            "dataset": self.dataset,
        }

    def _class_dict(self, index: int) -> dict[str, Any]:
        return {
            "images": {name: int(counts.images[index]) for name, counts in self.counts.items()},
            "pixels": {name: int(counts.pixels[index]) for name, counts in self.counts.items()},
            "share": {name: float(counts.shares[index]) for name, counts in self.counts.items()},
        }


def dataset_fingerprint(table: MaskTable, classes: tuple[str, ...]) -> str:
    """sha256 over class names, stems and the pixels of each value in each mask."""
    digest = hashlib.sha256("\n".join(classes).encode("utf-8", "backslashreplace"))
    for row in sorted(range(len(table)), key=table.stems.__getitem__):
        entries = slice(int(table.starts[row]), int(table.starts[row + 1]))
        text = f"\0{table.stems[row]}\0{table.values[entries].tolist()}{table.pixels[entries].tolist()}"
        digest.update(text.encode("utf-8", "backslashreplace"))
    return digest.hexdigest()
