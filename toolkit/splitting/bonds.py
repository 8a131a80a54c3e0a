"""Images that have to stay on one side: frames of a film, pictures of one patient, near-identical pictures."""

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath

from toolkit.errors import DatasetError, UsageError
from toolkit.files import read_file
from toolkit.parallel import in_order, shown
from toolkit.progress import Progress
from toolkit.splitting.notes import listed
from toolkit.voc.folder import VocFolder
from toolkit.voc.lookalike import Fingerprint, fingerprint, lookalikes
from toolkit.voc.stems import stem_in

_LARGEST_FILE = 1 << 28  # bytes
_FILE_SUFFIXES = (".csv", ".tsv", ".txt")
_NUMBERS = re.compile(r"(\d+)")
_DELIMITERS = ("\t", ",", ";")


@dataclass(frozen=True)
class Bond:
    """Two or more images, by stem, and why they belong together."""

    stems: tuple[str, ...]
    why: str


def alike(folder: VocFolder, stems: Sequence[str], workers: int | None, progress: Progress) -> list[Bond]:
    """Pictures that look nearly the same; likeness is passed on. Raises ImageError for one that cannot be decoded."""
    read = in_order(partial(_fingerprint, folder), stems, workers)
    prints = list(shown(progress, read, "Comparing pictures", len(stems)))
    return [Bond(tuple(stems[index] for index in group), "look alike") for group in lookalikes(prints, progress)]


def _fingerprint(folder: VocFolder, stem: str) -> Fingerprint:
    return fingerprint(folder.image(stem))


def grouped(folder: VocFolder, stems: Sequence[str], by: str, progress: Progress) -> list[Bond]:
    """Groups by `folder` (of the annotation), by a file of `image,group`, or by a pattern over the stems.

    An image without a group stands alone, which is said. Raises UsageError for a pattern that fits nothing, DatasetError
    for a file that cannot be used.
    """
    if by == "folder":
        keys = _by_folder(folder, stems)
    elif os.path.isfile(by) or by.lower().endswith(_FILE_SUFFIXES):  # noqa: PTH113  (no error for a long pattern)
        keys = _by_file(Path(by), stems)
    else:
        keys = _by_pattern(by, stems)
    alone = [stem for stem in stems if stem not in keys]
    if alone:
        progress.warn(f"group by {by}: {listed(alone)} no group; each such image stands alone.")
    groups: dict[str, list[str]] = {}
    for stem in stems:
        if stem in keys:
            groups.setdefault(keys[stem], []).append(stem)
    return [Bond(tuple(members), f"group '{key}'") for key, members in groups.items() if len(members) > 1]


def united(bonds: Sequence[Bond]) -> list[Bond]:
    """Bonds that share an image become one; sorted."""
    above = {stem: stem for bond in bonds for stem in bond.stems}

    def top(stem: str) -> str:
        while above[stem] != stem:
            above[stem] = above[above[stem]]
            stem = above[stem]
        return stem

    for bond in bonds:
        for stem in bond.stems[1:]:
            above[top(stem)] = top(bond.stems[0])
    members: dict[str, list[str]] = {}
    for stem in above:
        members.setdefault(top(stem), []).append(stem)
    reasons: dict[str, dict[str, None]] = {}
    for bond in bonds:
        reasons.setdefault(top(bond.stems[0]), {})[bond.why] = None
    return sorted(
        (Bond(tuple(sorted(stems)), ", ".join(reasons[first])) for first, stems in members.items()),
        key=lambda bond: bond.stems,
    )


def runs(stems: Sequence[str], length: int) -> list[Bond]:
    """Runs of at least so many images, in the order in which people number: 9 before 10."""
    ordered = sorted(stems, key=lambda stem: [int(part) if part.isdecimal() else part for part in _NUMBERS.split(stem)])
    count = max(1, len(ordered) // max(1, length))
    ends = [len(ordered) * number // count for number in range(count + 1)]
    pieces = [tuple(sorted(ordered[begin:end])) for begin, end in pairwise(ends)]
    return [Bond(piece, "one after the other") for piece in pieces if len(piece) > 1]


def _by_folder(folder: VocFolder, stems: Sequence[str]) -> dict[str, str]:
    path = folder.sources_file
    if not path.is_file():
        raise UsageError(
            f"group by folder: {path} is missing, which seg convert writes: the folders are not known. Use a pattern or a file."
        )
    rows = _rows(path, ",")
    known = set(stems)
    return {row[0]: PurePosixPath(row[1]).parent.as_posix() for row in rows if len(row) > 1 and row[0] in known}


def _by_file(path: Path, stems: Sequence[str]) -> dict[str, str]:
    text = _text(path)
    first = text.split("\n", 1)[0]
    delimiter = next((character for character in _DELIMITERS if character in first), None)
    if delimiter is None:
        raise DatasetError(f"{path}: line 1: lines of 'image,group' are needed.")
    known = set(stems)
    keys: dict[str, str] = {}
    for number, row in enumerate(_rows(path, delimiter), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        stem = stem_in(cells[0], known)
        if stem is None:
            continue  # a heading, or an image that is not in this dataset
        if len(cells) < 2 or not cells[1]:
            raise DatasetError(f"{path}: line {number}: '{cells[0]}' has no group. Write one, or leave the line out.")
        if keys.setdefault(stem, cells[1]) != cells[1]:
            raise DatasetError(f"{path}: line {number}: '{stem}' is in group '{keys[stem]}' already.")
    if not keys:
        raise DatasetError(f"{path}: names no image of the dataset. Lines of 'image,group' are needed.")
    return keys


def _by_pattern(pattern: str, stems: Sequence[str]) -> dict[str, str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"group by: '{pattern}' is neither 'folder', nor a file, nor a regular expression ({error})."
        ) from None
    keys = {}
    for stem in stems:
        match = expression.search(stem)
        if match is not None:
            keys[stem] = " ".join(part or "" for part in match.groups()) if match.groups() else match[0]
    if not keys:
        raise UsageError(
            f"group by: the pattern '{pattern}' fits no image, such as '{stems[0]}'. Put what they share into brackets: '(.+)_[0-9]+'."
        )
    return keys


def _rows(path: Path, delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(_text(path).splitlines(), delimiter=delimiter))
    except csv.Error as error:
        raise DatasetError(f"{path}: cannot be read as a table ({error}).") from None


def _text(path: Path) -> str:
    try:
        return read_file(path, _LARGEST_FILE, DatasetError).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: is no UTF-8 text. Save it as UTF-8.") from None
