"""What stands before images are divided: which are complete, which have their side already."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec

from toolkit.errors import DatasetError, UsageError
from toolkit.files import read_file
from toolkit.progress import Progress
from toolkit.splitting.lists import read_lists, read_record
from toolkit.splitting.notes import listed
from toolkit.splitting.options import SplitOptions
from toolkit.voc.folder import VocFolder
from toolkit.voc.stems import stem_in

SIDES = ("train", "val", "test")
_LARGEST_LIST = 1 << 28  # bytes


def kept(folder: VocFolder, given: Mapping[str, Any]) -> tuple[SplitOptions, dict[str, int], tuple[str, ...]]:
    """How the present split was made, unless told otherwise, the side of each image, and a test set that was given."""
    lists = read_lists(folder)
    if not (lists.get("train") and lists.get("val")):
        raise DatasetError(f"{folder.lists}: there is no split to keep. Make one: seg split {folder.root}")
    recorded = (read_record(folder) or {}).get("options")
    names = {field.name for field in fields(SplitOptions)}
    if isinstance(recorded, dict) and set(recorded) == names:
        if {"ratio", "val"} & given.keys():
            recorded = {**recorded, "ratio": None, "val": None}
        try:
            options = replace(msgspec.convert(recorded, SplitOptions), **given)
        except msgspec.MsgspecError:
            raise DatasetError(
                f"{folder.split_record}: is damaged. Make the lists again: seg split --overwrite"
            ) from None
    else:
        total = sum(len(lists.get(name, ())) for name in SIDES)
        shares: dict[str, Any] = {} if {"ratio", "val"} & given.keys() else {"val": len(lists["val"]) / total}
        options = SplitOptions(**{**shares, **given})
    if options.kfold is not None:
        names_of_folds = [f"fold_{number}/val" for number in range(1, options.kfold + 1)]
        if not all(lists.get(name) for name in names_of_folds) or f"fold_{options.kfold + 1}/val" in lists:
            raise UsageError(f"kfold: {folder.lists} does not hold {options.kfold} folds, so they cannot be kept.")
        order: tuple[str, ...] = (*names_of_folds, "test")
    else:
        order = SIDES
    sides: dict[str, int] = {}
    for side, name in enumerate(order):
        for stem in lists.get(name, ()):
            sides.setdefault(stem, side)
    if options.test:
        return options, sides, ()
    apart = lists.get("test", ())  # it came with the dataset, or from a file: nothing is added to it
    test = set(apart)
    return options, {stem: side for stem, side in sides.items() if stem not in test}, apart


def given_for_testing(folder: VocFolder, path: Path) -> tuple[str, ...]:
    """The stems that a list names. Raises DatasetError for one that has no image, and for an empty list."""
    try:
        lines = read_file(path, _LARGEST_LIST, DatasetError).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: is no UTF-8 text. Save it as UTF-8.") from None
    images = folder.image_stems()
    entries = [line for line in lines if line.strip()]
    stems = {entry: stem_in(entry, images) for entry in entries}
    unknown = [entry for entry, stem in stems.items() if stem is None]
    if unknown:
        raise DatasetError(f"{path}: {listed(set(unknown))} no image in {folder.images}. Correct the list.")
    if not entries:
        raise DatasetError(f"{path}: names no image.")
    return tuple(sorted({stem for stem in stems.values() if stem is not None}))


def complete_stems(folder: VocFolder, allow_bad: bool, progress: Progress, spared: set[str]) -> set[str]:
    """Stems with image and mask. Those that are only tested need no mask."""
    images, masks = folder.image_stems(), folder.mask_stems()
    problems = []
    if masks - images:
        problems.append(f"{listed(masks - images)} no image in {folder.images.name}")
    if images - masks - spared:
        problems.append(f"{listed(images - masks - spared)} no mask in {folder.masks.name}")
    if problems:
        text = f"{folder.root}: " + "; ".join(problems) + "."
        if not allow_bad:
            raise DatasetError(f"{text} Add what is missing, or use --allow-bad to leave these out.")
        progress.warn(f"{text} Left out.")
    if not images & masks:
        raise DatasetError(f"{folder.root}: holds no image with a mask. Make a dataset with: seg convert LABELME_DIR")
    return images & masks
