"""Under which names predictions are written: unlike each other on every file system, and like the tree they came from.

Paths are texts here, as in `sources`.
"""
# ruff: noqa: PTH100, PTH120, PTH122

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator

_WRITTEN = (".png", ".jpg", ".json", ".npz", ".npy", ".tif", ".tiff", ".mp4", ".csv")
"""Ends of what writers write."""

_LONGEST = 236  # bytes of a name: systems allow 255, and a number and a suffix are still to come


def common_folder(folders: Iterable[str]) -> str | None:
    """Absolute path of the folder that all of these have in common; None if they are on several drives."""
    try:
        return os.path.commonpath([os.path.abspath(folder) for folder in folders])
    except ValueError:  # on several drives
        return None


def folded_name(name: str) -> str:
    """Equal for names that some file system takes for the same: unlike in case, or in how an accent is written."""
    return name.casefold() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def labels_of(places: list[str], root: str | None, has_frames: Callable[[str], bool]) -> list[str]:
    """A name for each file: its path below the root without suffix, where that is unlike all others.

    Nothing that is written may be in the way of something else, on file systems that ignore case neither. Names that
    differ in their suffix only keep it; those that still are alike, or too long and cut, are numbered, and so is what would be written as a
    file where a folder is needed (`a.jpg` beside a folder `a.png`), and a film whose frames would lie among pictures.
    """
    paths = _relative(places, root)
    plain = [path[: len(path) - len(os.path.splitext(path)[1])] for path in paths]
    uses: dict[str, int] = {}
    for label in plain:
        folded = folded_name(label)
        uses[folded] = uses.get(folded, 0) + 1
    labels = [_short(plain[i] if uses[folded_name(plain[i])] == 1 else path) for i, path in enumerate(paths)]
    del uses, plain
    films = {folded_name(labels[i]) for i, place in enumerate(places) if has_frames(place)}
    folders = {folded_name(folder) for folder in _folders(labels)}
    called_alike = {os.path.splitext(folder)[0] for folder in folders | films if folder.endswith(_WRITTEN)}
    for_films = called_alike | folders
    taken: dict[str, int] = {}
    for i, label in enumerate(labels):
        in_the_way = for_films if has_frames(places[i]) else called_alike
        name, number = label, 1
        while (folded := folded_name(name)) in taken or folded in in_the_way:
            number = taken.get(folded_name(label), number) + 1
            taken[folded_name(label)] = number  # where to go on counting, or many alike would take for ever
            name = f"{label}-{number}"
        taken.setdefault(folded, 1)
        labels[i] = name
    return labels


def _relative(places: list[str], root: str | None) -> list[str]:
    found = []
    known: dict[str, str] = {}
    for place in places:
        folder, name = os.path.split(place)
        below = known.get(folder)
        if below is None:
            full = os.path.abspath(folder)
            drive, rest = os.path.splitdrive(full)
            below = os.path.relpath(full, root) if root is not None else f"{drive.strip(':')}{os.sep}{rest}"
            parts = [part for part in below.replace(os.sep, "/").split("/") if part not in ("", ".", "..")]
            below = known[folder] = "".join(f"{part}/" for part in parts)
        found.append(f"{below}{name}")
    return found


def _short(label: str) -> str:
    if len(label) <= _LONGEST // 4:  # a character has at most 4 bytes
        return label
    head, slash, name = label.rpartition("/")
    while len(os.fsencode(name)) > _LONGEST:
        name = name[:-1]
    return f"{head}{slash}{name}"


def _folders(labels: Iterable[str]) -> set[str]:
    direct = {os.path.dirname(label) for label in labels} - {""}
    return direct | {above for folder in direct for above in _above(folder)}


def _above(folder: str) -> Iterator[str]:
    while folder := os.path.dirname(folder):
        yield folder
