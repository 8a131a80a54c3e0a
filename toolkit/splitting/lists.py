"""The lists of a split on disk, and split.json, which tells how they were made and whether they still are."""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from toolkit.errors import DatasetError
from toolkit.files import writing
from toolkit.voc.folder import VocFolder
from toolkit.voc.layout import SPLIT_NAMES

Lists = dict[str, tuple[str, ...]]
"""Stems by list: `train`, `val`, `trainval`, `test`, and `fold_1/train`, `fold_1/val`, ... where there are folds."""

FOLD_SIDES = ("train", "val")


def read_lists(folder: VocFolder) -> Lists:
    """The lists that are there. Raises DatasetError for one that cannot be read or repeats a stem."""
    lists = {name: folder.read_list(name) for name in SPLIT_NAMES if folder.list_file(name).exists()}
    for fold in folder.folds():
        for name in FOLD_SIDES:
            if folder.list_file(name, fold).exists():
                lists[f"fold_{fold}/{name}"] = folder.read_list(name, fold)
    return lists


def read_record(folder: VocFolder) -> dict[str, Any] | None:
    """What split.json says, None if there is none that can be read."""
    try:
        record = json.loads(folder.split_record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def refuse_foreign(folder: VocFolder) -> None:
    """Raise DatasetError if there are lists that were not made by `seg split`, or that were changed since."""
    try:
        present = read_lists(folder)
    except DatasetError:  # not even readable: certainly not ours
        present = {"": ("",)}
    if not any(present.values()):
        return
    record = read_record(folder)
    if record is None or record.get("fingerprint") != fingerprint(present):
        raise DatasetError(
            f"{folder.lists}: the lists there were not made by seg split, or were changed since. Use --overwrite to "
            "replace them, or --keep to add new images to them."
        )


def write_lists(folder: VocFolder, lists: Mapping[str, tuple[str, ...]], record: Mapping[str, Any]) -> None:
    """Write all lists and split.json: everything is on the disk before the first one gets its name.

    Lists of folds that are not made any more are deleted.
    """
    with ExitStack() as stack:
        made = json.dumps({**record, "fingerprint": fingerprint(lists)}, indent=2, ensure_ascii=False) + "\n"
        stack.enter_context(writing(folder.split_record)).write(made.encode("utf-8", "backslashreplace"))
        for name, stems in lists.items():
            file = stack.enter_context(writing(folder.lists / f"{name}.txt"))
            file.write("".join(f"{stem}\n" for stem in stems).encode("utf-8", "backslashreplace"))
    for fold in folder.folds():
        if f"fold_{fold}/train" not in lists:
            for name in FOLD_SIDES:
                folder.list_file(name, fold).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # holds something else
                folder.list_file("train", fold).parent.rmdir()


def fingerprint(lists: Mapping[str, tuple[str, ...]]) -> str:
    """sha256 over the stems of all lists."""
    names = [name for name in SPLIT_NAMES if name in lists] + sorted(set(lists) - set(SPLIT_NAMES))
    text = "\n".join(f"{name}\0{stem}" for name in names for stem in lists[name])
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
