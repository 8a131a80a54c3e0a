"""What goes with a dataset that is replaced, besides what a conversion makes anew."""

import os
from collections.abc import Iterator
from pathlib import Path

from toolkit.conversion.records import recall
from toolkit.errors import DataError
from toolkit.findings import Finding
from toolkit.voc.folder import VocFolder

_NAMED = 3
_WRITTEN_SUFFIXES = (".jpg", ".png")


def lost_by_replacing(dataset: VocFolder, unfinished: VocFolder) -> list[Finding]:
    """Lists, and files that no conversion wrote, that are in a dataset which is about to be replaced.

    unfinished   what an --overwrite that was killed has put aside; that goes now, too

    Nothing is said of files if the records, which tell whose they are, cannot be read.
    """
    findings = []
    datasets = [dataset, unfinished]
    if any(_files(folder.lists) for folder in datasets):
        text = "the split lists of the old dataset went with it."
        findings.append(Finding(str(dataset.lists), text, f"Make new ones: seg split {dataset.root}", "lists-replaced"))
    others = [path.relative_to(folder.root).as_posix() for folder in datasets for path in _of_others(folder)]
    if others:
        names = ", ".join(others[:_NAMED]) + (" and so on" if len(others) > _NAMED else "")
        what = "a file" if len(others) == 1 else f"{len(others)} files"
        text = f"{what} of the old dataset that seg convert had not written went with it: {names}."
        findings.append(Finding(str(dataset.root), text, code="others-replaced"))
    return findings


def _of_others(dataset: VocFolder) -> Iterator[Path]:
    try:
        stems = set(recall(dataset).stems.values())
    except DataError:
        return
    for folder in (dataset.images, dataset.masks, dataset.objects):
        suffixes = _WRITTEN_SUFFIXES if folder == dataset.images else (".png",)
        for path in _files(folder):
            if path.parent != folder or path.stem not in stems or path.suffix not in suffixes:
                yield path
    for path in _files(dataset.lists.parent):
        if not path.is_relative_to(dataset.lists):
            yield path


def _files(folder: Path) -> list[Path]:
    """Every file below, sorted, without hidden ones: those of the system, and halves of a killed conversion."""
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names if not name.startswith(".")]
    return sorted(found)
