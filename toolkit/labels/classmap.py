"""Which label is which class id, and in which colour: the same for every file of a dataset."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.errors import AnnotationError, DataError, did_you_mean
from toolkit.files import write_text
from toolkit.labels.annotation import clean_label

IGNORE = 255
"""Pixel value that is counted nowhere: not in the loss, not in a score, not in a weight."""

BACKGROUND_LABEL = "_background_"
IGNORE_LABEL = "__ignore__"
MAX_CLASSES = 255  # ids 0..254


def voc_palette() -> npt.NDArray[np.uint8]:
    """The Pascal VOC colour map: uint8 (256, 3) RGB, the bits of the id dealt out to the channels in turn.

    Source: the VOC development kit's VOCcolormap.
    """
    ids = np.arange(256, dtype=np.uint8)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            if 3 * bit + channel < 8:
                colors[:, channel] |= ((ids >> (3 * bit + channel)) & 1) << (7 - bit)
    return colors


@dataclass(frozen=True)
class ClassMap:
    """Class names in id order. Raises DataError if they are empty, repeated or more than 255."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise DataError("a class list needs at least one class, got none")
        if len(self.names) > MAX_CLASSES:
            raise DataError(
                f"{len(self.names)} classes, but a mask holds at most {MAX_CLASSES} (ids 0 to 254; 255 is ignore)"
            )
        repeated = [name for name, count in Counter(self.names).items() if count > 1]
        if repeated:
            raise DataError(f"class '{repeated[0]}' is listed twice. Remove one of the two lines.")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)} | {IGNORE_LABEL: IGNORE}

    @cached_property
    def colors(self) -> npt.NDArray[np.uint8]:
        """uint8 (256, 3) RGB by pixel value, 255 included."""
        return voc_palette()

    def id_of(self, label: str) -> int | None:
        """The class id of a label, 255 for `__ignore__`, None if it is not listed."""
        return self._ids.get(label)

    def closest(self, label: str) -> str:
        """` Did you mean 'x'?` or an empty text."""
        return did_you_mean(unicodedata.normalize("NFC", label), self._ids)

    @property
    def background(self) -> int | None:
        """The id of `_background_`, or None if the dataset has no such class."""
        return self._ids.get(BACKGROUND_LABEL)

    @classmethod
    def derive(cls, labels: Iterable[str]) -> "ClassMap":
        """Background first, then the labels sorted by code point: independent of the order of files."""
        return cls((BACKGROUND_LABEL, *sorted(set(labels) - {BACKGROUND_LABEL, IGNORE_LABEL})))

    @classmethod
    def from_labels(cls, path: Path) -> "ClassMap":
        """Read a list in labelme's convention: one label a line, `__ignore__` (255) and `_background_` (0) first.

        Both names may be missing; blank lines are passed over. Raises AnnotationError with file and line.
        """
        return cls._listed(path, "line", _read_lines(path))

    @classmethod
    def from_names(cls, path: Path, names: Iterable[str]) -> "ClassMap":
        """Like `from_labels`, for the names that a list of another format holds."""
        return cls._listed(path, "entry", list(enumerate(names, 1)))

    @classmethod
    def _listed(cls, path: Path, place: str, lines: list[tuple[int, str]]) -> "ClassMap":
        names = [name for _, name in lines]
        _refuse_repeats(path, lines, place)
        for number, name in lines[1:]:
            if name == IGNORE_LABEL:
                raise AnnotationError(f"{path}: {place} {number}: {IGNORE_LABEL} must be the first label.")
            if name == BACKGROUND_LABEL and names.index(name) != int(names[0] == IGNORE_LABEL):
                raise AnnotationError(
                    f"{path}: {place} {number}: {BACKGROUND_LABEL} is class 0 and must stand before every other class."
                )
        names = [name for name in names if name not in (IGNORE_LABEL, BACKGROUND_LABEL)]
        if not names:
            raise AnnotationError(f"{path}: names no class. Write one label a {place}.")
        return _named(path, [BACKGROUND_LABEL, *names])

    @classmethod
    def from_stored(cls, names: Any) -> "ClassMap":
        """The classes that a model file names, in id order.

        Raises DataError, without a file's name, unless they are a list of names as `class_names.txt` may hold them.
        """
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise DataError("its classes are no list of names")
        for index, name in enumerate(names):
            # half a character, which JSON can hold, could be neither printed nor written
            if not name or clean_label(name) != name or any("\ud800" <= letter <= "\udfff" for letter in name):
                raise DataError(f"the name of class {index} is empty, or holds what no name may: {ascii(name)[:80]}")
        try:
            return cls(tuple(names))
        except DataError as error:
            raise DataError(str(error).partition(". ")[0]) from None  # its advice is for lists that people write

    @classmethod
    def read(cls, path: Path) -> "ClassMap":
        """Read `class_names.txt`: one name a line, line number = id. Raises DataError naming the file."""
        lines = _read_lines(path)
        if not lines:
            raise DataError(f"{path}: names no class. Write one class a line, class 0 first.")
        _refuse_repeats(path, lines)
        return _named(path, [name for _, name in lines])

    def write(self, path: Path) -> None:
        """Write `class_names.txt`, atomically."""
        write_text(path, "".join(f"{name}\n" for name in self.names))


def _named(path: Path, names: list[str]) -> ClassMap:
    try:
        return ClassMap(tuple(names))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _refuse_repeats(path: Path, lines: list[tuple[int, str]], place: str = "line") -> None:
    first: dict[str, int] = {}
    for number, name in lines:
        if name in first:
            raise DataError(
                f"{path}: {place} {number}: '{name}' is listed twice, first in {place} {first[name]}. Remove one."
            )
        first[name] = number


def _read_lines(path: Path) -> list[tuple[int, str]]:
    """(line number from 1, text) of each line that is not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error}). Save it as UTF-8.") from None
    cleaned = ((number, clean_label(line)) for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1))
    return [(number, line) for number, line in cleaned if line]
