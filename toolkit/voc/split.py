"""VOC dataset -> train, val, trainval and test lists.

The order of stems is the order of a keyed hash of their names: the same on every machine, whatever the operating
system lists first, and a stem keeps its place when others come in.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from toolkit.errors import DatasetError, UsageError
from toolkit.files import write_text
from toolkit.progress import SILENT, Progress
from toolkit.voc.folder import VocFolder
from toolkit.voc.layout import SPLIT_NAMES

RULE = "sha256 order"


@dataclass(frozen=True)
class Split:
    """Stems of each side, sorted, and the rule and seed that made them."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    seed: int
    ratio: float
    rule: str = RULE

    @property
    def trainval(self) -> tuple[str, ...]:
        """Train and val together, sorted; one image that is in both is named once."""
        return tuple(sorted({*self.train, *self.val}))

    def lists(self) -> dict[str, tuple[str, ...]]:
        """The stems by list name."""
        return {"train": self.train, "val": self.val, "trainval": self.trainval, "test": self.test}

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "rule": self.rule,
            "seed": self.seed,
            "ratio": self.ratio,
            "images": {name: len(stems) for name, stems in self.lists().items()},
            "fingerprint": _fingerprint(self.lists()),
        }


def split(
    dataset: Path | str | None = None,
    *,
    ratio: float = 0.9,
    seed: int = 0,
    overwrite: bool = False,
    allow_bad: bool = False,
    progress: Progress = SILENT,
) -> Split:
    """Divide a dataset's images into train (a share of `ratio`) and val, and write the lists.

    With two images or more both sides get at least one. A single image goes to both, which is said.
    overwrite      replace lists that were not made by this function
    allow_bad      leave images without a mask, and masks without an image, out instead of refusing

    Raises UsageError for a ratio outside (0, 1), DatasetError for stems without image or mask (by name), for an
    empty dataset, and for foreign lists without `overwrite`.
    """
    if not 0 < ratio < 1:
        raise UsageError(
            f"ratio: a share between 0 and 1 is needed (0.9: nine of ten images for training), got {ratio:g}."
        )
    folder = VocFolder.find(Path(dataset) if dataset is not None else None)
    stems = _complete_stems(folder, allow_bad, progress)
    if not overwrite and _holds_foreign_lists(folder):
        raise DatasetError(
            f"{folder.lists}: the lists there were not made by seg split, or were changed since. Use --overwrite to replace them."
        )
    ordered = sorted(stems, key=lambda stem: hashlib.sha256(f"{seed}\0{stem}".encode()).digest())
    if len(ordered) == 1:
        progress.warn("only one image: it is in train and in val, so the scores will say nothing about new images.")
        train = val = ordered
    else:
        share = 1 - Fraction(str(ratio))  # exact: 25 * (1 - 0.9) is 2.4999... in floating point
        held_out = min(max(1, math.floor(len(ordered) * share + Fraction(1, 2))), len(ordered) - 1)
        train, val = ordered[held_out:], ordered[:held_out]
    made = Split(tuple(sorted(train)), tuple(sorted(val)), (), seed, ratio)
    for name, members in made.lists().items():
        write_text(folder.list_file(name), "".join(f"{stem}\n" for stem in members))
    write_text(folder.split_record, json.dumps(made.as_dict(), indent=2) + "\n")
    return made


def _complete_stems(folder: VocFolder, allow_bad: bool, progress: Progress) -> set[str]:
    images, masks = folder.image_stems(), folder.mask_stems()
    problems = []
    if masks - images:
        problems.append(f"{_listed(masks - images)} no image in {folder.images.name}")
    if images - masks:
        problems.append(f"{_listed(images - masks)} no mask in {folder.masks.name}")
    if problems:
        text = f"{folder.root}: " + "; ".join(problems) + "."
        if not allow_bad:
            raise DatasetError(f"{text} Add what is missing, or use --allow-bad to leave these out.")
        progress.warn(f"{text} Left out.")
    if not images & masks:
        raise DatasetError(f"{folder.root}: holds no image with a mask. Make a dataset with: seg convert LABELME_DIR")
    return images & masks


def _listed(stems: set[str]) -> str:
    names = sorted(stems)
    shown = ", ".join(f"'{name}'" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{shown} {'has' if len(names) == 1 else 'have'}"


def _holds_foreign_lists(folder: VocFolder) -> bool:
    try:
        present = {name: folder.read_list(name) for name in SPLIT_NAMES if folder.list_file(name).exists()}
    except DatasetError:  # not even readable: certainly not ours
        return True
    if not any(present.values()):
        return False
    try:
        record = json.loads(folder.split_record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return not isinstance(record, dict) or record.get("fingerprint") != _fingerprint(present)


def _fingerprint(lists: dict[str, tuple[str, ...]]) -> str:
    text = "\n".join(f"{name}\0{stem}" for name in SPLIT_NAMES for stem in lists.get(name, ()))
    return hashlib.sha256(text.encode()).hexdigest()
