"""Where the labelme file of a picture goes that is written next to it."""
# ruff: noqa: PTH110, PTH118, PTH119, PTH120, PTH121, PTH122, PTH208

import os
from collections import Counter
from enum import Enum, auto
from pathlib import Path

import msgspec

from toolkit.errors import DataError
from toolkit.files import read_file
from toolkit.labels.labelme_fields import Flags
from toolkit.prediction.naming import folded_name
from toolkit.prediction.sources import Source
from toolkit.voc.layout import IMAGE_SUFFIXES

_SUFFIX = ".json"
_LARGEST = 1 << 30
_LONGEST = 255  # bytes of a name


class Places:
    """Places next to pictures: where labelme itself would look first, and never those of other pictures.

    STEM.json, if it names this picture, or if no other picture in the folder could mean it; else NAME.EXT.json. Several
    threads may ask at a time.
    """

    def __init__(self) -> None:
        self._stems: dict[str, Counter[str]] = {}

    def of(self, source: Source) -> Path:
        """The labelme file of a picture, whether it is there or not."""
        folder, name = os.path.split(source.place)
        stem = os.path.splitext(name)[0]
        by_stem, by_name = (os.path.join(folder, f"{text}{_SUFFIX}") for text in (stem, name))
        own = _names(by_stem, source.place)
        if own is not True and _names(by_name, source.place):
            chosen = by_name
        elif own or (own is None and self._is_alone(folder, name, stem)):
            chosen = by_stem
        else:
            chosen = by_name
        if len(os.fsencode(os.path.basename(chosen))) > _LONGEST:
            chosen = os.path.join(folder, f"{source.name.name}{_SUFFIX}")  # which is cut
        return Path(chosen)

    def _is_alone(self, folder: str, name: str, stem: str) -> bool:
        """Whether no other picture has this stem, nor is called so itself: then `STEM.json` may be that one's."""
        stems = self._stems.get(folder)
        if stems is None:
            stems = self._stems[folder] = _stems_in(folder)
        return stems[folded_name(stem)] <= name.lower().endswith(IMAGE_SUFFIXES)


def _stems_in(folder: str) -> Counter[str]:
    """How many pictures have each stem, or are called so."""
    try:
        pictures = [name for name in os.listdir(folder or os.curdir) if name.lower().endswith(IMAGE_SUFFIXES)]
    except OSError:
        return Counter()
    names = [folded_name(name) for name in pictures]
    stems = Counter(os.path.splitext(name)[0] for name in names)
    for name in names:
        if name in stems:
            stems[name] += 1
    return stems


class _Named(msgspec.Struct):
    imagePath: str  # noqa: N815


class _Flagged(msgspec.Struct):
    flags: Flags


class There(Enum):
    """What is in the place of a labelme file."""

    NOTHING = auto()
    PREDICTION = auto()
    """One that nobody has looked at, as its flag says."""
    SOMEBODYS = auto()
    """Whatever else, also what cannot be read."""


def what_is_there(annotation: Path) -> There:
    """Whose a labelme file is."""
    if not os.path.lexists(annotation):
        return There.NOTHING
    try:
        read = msgspec.json.decode(read_file(annotation, _LARGEST, DataError), type=_Flagged)
    except (DataError, msgspec.MsgspecError, ValueError):
        return There.SOMEBODYS
    return There.PREDICTION if read.flags.predicted is True else There.SOMEBODYS


def _names(annotation: str, picture: str) -> bool | None:
    """Whether a labelme file is of this picture: True; of another one that is there: False; None: who knows."""
    try:
        if not os.path.lexists(annotation):
            return None
        text = msgspec.json.decode(read_file(Path(annotation), _LARGEST, DataError), type=_Named).imagePath
        text = text.replace("\\", "/")
        there = os.path.join(os.path.dirname(annotation), text)
        if os.path.exists(there):
            return os.path.samefile(there, picture)
    except (DataError, msgspec.MsgspecError, ValueError, OSError):
        return None
    return folded_name(text.rpartition("/")[2]) == folded_name(os.path.basename(picture)) or None
