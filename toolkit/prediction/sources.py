"""What the user names -> which pictures, films or camera, and under which names their predictions go.

Paths are texts here, as a Path for each of 200,000 pictures takes several times the memory and the time.
"""
# ruff: noqa: PTH112, PTH113, PTH118, PTH119, PTH120

import glob
import os
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, overload

from toolkit.errors import DataError, UsageError
from toolkit.files import files_below, read_file
from toolkit.prediction.folder.manifest import is_result
from toolkit.prediction.naming import common_folder, labels_of
from toolkit.voc.layout import IMAGE_SUFFIXES

FILM_SUFFIXES = (".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".mts", ".3gp")
CAMERA = "camera:"
STANDARD_INPUT = "-"

_LARGEST_LIST = 1 << 30
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_IN_A_FOLDER = (*IMAGE_SUFFIXES, *FILM_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Source:
    """A picture, a film or a camera.

    place   its file as the user named it, or `camera:N`
    label   relative name, without suffix and with forward slashes, of what is written for it
    """

    place: str
    label: str

    @property
    def path(self) -> Path:
        return Path(self.place)

    @property
    def name(self) -> PurePosixPath:
        return PurePosixPath(self.label)

    @property
    def camera(self) -> int | None:
        """The camera's number, None for a file."""
        return int(self.place.removeprefix(CAMERA)) if _is_camera(self.place) else None

    @property
    def is_film(self) -> bool:
        return self.place.lower().endswith(FILM_SUFFIXES)

    @property
    def has_frames(self) -> bool:
        """Whether it is a film or a camera."""
        return self.is_film or _is_camera(self.place)


class Sources(Sequence[Source]):
    """All that is to be predicted, in a fixed order, each file once. Holds two short texts for each.

    given   what the user named
    root    absolute path of the folder that all files have in common; names are the paths below it. None: a camera,
            or files on several drives
    """

    def __init__(self, given: Sequence[str], root: str | None, places: list[str], labels: list[str]) -> None:
        self.given = tuple(given)
        self.root = root
        self.labels = labels
        self._places = places

    @overload
    def __getitem__(self, index: int) -> Source: ...
    @overload
    def __getitem__(self, index: slice) -> "Sources": ...
    def __getitem__(self, index: int | slice) -> "Source | Sources":
        if isinstance(index, slice):
            return Sources(self.given, self.root, self._places[index], self.labels[index])
        return Source(self._places[index], self.labels[index])

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Source]:
        return map(Source, self._places, self.labels)

    @property
    def films(self) -> int:
        """How many are films or cameras."""
        return sum(place.lower().endswith(FILM_SUFFIXES) or _is_camera(place) for place in self._places)

    @property
    def checksum(self) -> int:
        """CRC-32 of the names in their order: two machines that divide the work must have found the same."""
        crc = 0
        for label in self.labels:
            crc = zlib.crc32(os.fsencode(label) + b"\0", crc)
        return crc


def find_sources(
    given: Sequence[str | Path], *, standard_input: BinaryIO | None = None, without: Path | None = None
) -> Sources:
    """Files, folders (with subfolders), glob patterns, lists, `camera:N`, and `-` for a list on standard input.

    In folders and patterns, pictures and films are found by their suffixes; what is named itself, or in a list, is
    tried whatever its suffix. What lies in the folder `without`, where results go, is found in no folder and by no
    pattern, unless they lie in it themselves; nor is what `seg predict` wrote in another call. A list is `@FILE` or a .txt
    file, one path a line, seen from the working folder.

    Raises DataError for something that is not there or holds no picture, UsageError for what does not go together.
    """
    texts = [os.fspath(item) for item in given]
    if "" in texts:
        raise UsageError("an empty text names nothing to predict. Name a picture or a folder; . is this one.")
    cameras = [camera for text in texts if (camera := _camera(text))]
    if cameras:
        if len(texts) > 1:
            raise UsageError(f"{cameras[0]}: a camera is predicted alone. Name the others in another call.")
        return Sources(texts, None, cameras, [cameras[0].replace(":", "-")])
    places: list[str] = []
    anchors: set[str] = set()
    out = None if without is None else os.path.realpath(without)
    seen = _Seen(needed=len(texts) > 1 or not os.path.isdir(texts[0] if texts else ""))
    for text in texts:
        for place, anchor in _expand(text, standard_input, out):
            if seen.is_new(place):
                places.append(place)
                anchors.add(anchor)
    if not places:
        raise UsageError("name at least one picture, folder, pattern, list, film or camera.")
    root = common_folder(anchors)
    return Sources(texts, root, places, labels_of(places, root, _is_film))


def _camera(text: str) -> str | None:
    """`camera:N` of a text that means a camera: that, or a bare number that is the name of nothing here."""
    if _is_camera(text):
        return f"{CAMERA}{int(text.removeprefix(CAMERA))}"
    if text.startswith(CAMERA) and not os.path.lexists(text):
        raise UsageError(f"{text}: a camera is {CAMERA}0, {CAMERA}1 and so on.")
    if text.isascii() and text.isdecimal() and len(text) <= 3 and not os.path.lexists(text):
        return f"{CAMERA}{int(text)}"
    return None


def _is_camera(text: str) -> bool:
    number = text.removeprefix(CAMERA)
    return number != text and number.isascii() and number.isdecimal() and len(number) <= 3


class _Seen:
    """Which files were met: their folders without links, and their names in them. Files themselves are not looked at."""

    def __init__(self, *, needed: bool) -> None:
        self._needed = needed
        self._names: dict[str, set[str]] = {}
        self._folders: dict[str, set[str]] = {}

    def is_new(self, place: str) -> bool:
        if not self._needed:  # a folder alone shows each file once
            return True
        folder, name = os.path.split(place)
        names = self._folders.get(folder)
        if names is None:
            names = self._folders[folder] = self._names.setdefault(os.path.realpath(folder), set())
        if name in names:
            return False
        names.add(name)
        return True


def _expand(text: str, standard_input: BinaryIO | None, without: str | None) -> Iterator[tuple[str, str]]:
    """Each file's path, and the folder from which it was found."""
    if text == STANDARD_INPUT:
        data = (standard_input or sys.stdin.buffer).read(_LARGEST_LIST + 1)
        if len(data) > _LARGEST_LIST:
            raise DataError("-: the list on standard input is larger than 1 GiB.")
        yield from _listed(data, "standard input", None)
    elif text.startswith("@") and not os.path.lexists(text):
        yield from _listed(read_file(Path(text[1:]), _LARGEST_LIST, DataError), text[1:], os.path.dirname(text[1:]))
    elif os.path.isdir(text):
        empty = True
        results = _Results(text, without)
        for path in files_below(Path(text), _IN_A_FOLDER):
            if not path.name.startswith(".") and not results.hold(place := os.fspath(path)):
                empty = False
                yield place, text
        if empty:
            raise DataError(f"{text}: no picture in it ({', '.join(IMAGE_SUFFIXES)}) and no film{results.said}.")
    elif os.path.lexists(text):
        if text.lower().endswith(".txt"):
            yield from _listed(read_file(Path(text), _LARGEST_LIST, DataError), text, os.path.dirname(text))
        else:
            yield text, os.path.dirname(text)
    else:
        yield from _matching(text, without)


class _Results:
    """Which folders below the one that is searched hold results, of this call or of others: no pictures to predict."""

    def __init__(self, searched: str, folder: str | None) -> None:
        inside = folder is not None and _is_below(os.path.realpath(searched), folder)  # asked for by its name
        self._folder = None if inside else folder
        self._above = 0 if os.path.normpath(searched) == os.curdir else len(os.path.normpath(searched))
        self._known: dict[str, bool] = {}
        self._left_out = False

    def hold(self, place: str) -> bool:
        """Whether a file lies in such a folder."""
        found = self._is_one(os.path.dirname(place) or os.curdir)
        self._left_out |= found
        return found

    @property
    def said(self) -> str:
        return ", but for what seg predicted: name that folder itself" if self._left_out else ""

    def _is_one(self, folder: str) -> bool:
        new = []
        while folder not in self._known and folder != os.curdir and len(os.path.normpath(folder)) > self._above:
            new.append(folder)
            folder = os.path.dirname(folder) or os.curdir
        found = self._known.get(folder, False)
        for folder in reversed(new):
            found = found or is_result(folder)
            found = found or (self._folder is not None and _is_below(os.path.realpath(folder), self._folder))
            self._known[folder] = found
        return found


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _matching(pattern: str, without: str | None) -> Iterator[tuple[str, str]]:
    if _ADDRESS.match(pattern):
        raise DataError(f"{pattern}: is an address; only files are read. Download it first and name the file.")
    if not glob.has_magic(pattern):
        raise DataError(f"{pattern}: there is no such file or folder.")
    anchor = pattern
    while glob.has_magic(anchor):
        anchor = os.path.dirname(anchor)
    empty, results = True, _Results(anchor, without)
    for path in sorted(glob.iglob(pattern, recursive=True)):
        fits = path.lower().endswith(_IN_A_FOLDER) and not os.path.basename(path).startswith(".")
        if fits and os.path.isfile(path) and not results.hold(path):
            empty = False
            yield path, anchor
    if empty:
        raise DataError(f"{pattern}: no picture matches the pattern{results.said}.")


def _listed(data: bytes, where: str, folder: str | None) -> Iterator[tuple[str, str]]:
    """The files of a list. They are not looked at here: one that is missing is found out when its turn comes."""
    if b"\0" in data:
        raise DataError(f"{where}: is no list of paths, as it holds zero bytes. Write one path a line, as text.")
    lines = (os.fsdecode(line.strip(b"\r\t ")) for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    empty = True
    for line in filter(None, lines):
        if empty and folder and not os.path.lexists(line) and os.path.lexists(os.path.join(folder, line)):
            raise DataError(
                f"{where}: its first line, {line}, is there as seen from the list's folder, not from the working "
                f"folder, from which lists are read. Run seg in {folder}."
            )
        empty = False
        yield os.path.join(os.curdir, line) if _is_camera(line) else line, os.path.dirname(line)
    if empty:
        raise DataError(f"{where}: no path in it. One path a line is needed.")


def _is_film(place: str) -> bool:
    return place.lower().endswith(FILM_SUFFIXES)
