"""Which outputs a call writes, of pictures and of frames. Knows names only: nothing heavy is imported."""

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.errors import UsageError, unknown_name
from toolkit.prediction.tables import TABLES
from toolkit.prediction.writers import WRITERS

VIDEO = "video"
LABELME = "labelme"
DEFAULT_SAVE = ("mask", "overlay", "ids", LABELME)
DEFAULT_OF_FILMS = (VIDEO,)


def known_kinds() -> tuple[str, ...]:
    """Every name that can be asked for."""
    return (*WRITERS, *TABLES, VIDEO)


def require_kinds(save: Sequence[str]) -> tuple[str, ...]:
    """The names, each once. Raises UsageError for one that is not known, and for none."""
    kinds = tuple(dict.fromkeys(save))
    for kind in kinds:
        if kind not in known_kinds():
            raise unknown_name("output", kind, known_kinds())
    if not kinds:
        raise UsageError(f"save: name at least one kind of output: {', '.join(known_kinds())}.")
    return kinds


@dataclass(frozen=True)
class Kinds:
    """What is written.

    pictures   kinds for each picture, files and tables
    frames     kinds for each frame of a film or camera, and "video" for the film itself
    """

    pictures: tuple[str, ...]
    frames: tuple[str, ...]

    @classmethod
    def chosen(cls, save: Sequence[str] | None, *, pictures: bool, films: bool) -> "Kinds":
        """What was asked for, or what is usual, where there are pictures or films at all.

        Raises UsageError for a name that is not known, for none, and for a film of pictures.
        """
        if save is None:
            return cls(DEFAULT_SAVE if pictures else (), DEFAULT_OF_FILMS if films else ())
        kinds = require_kinds(save)
        if VIDEO in kinds and not films:
            raise UsageError(f"save: {VIDEO} needs a film or a camera among the sources. Of pictures, take overlay.")
        of_pictures = tuple(kind for kind in kinds if kind != VIDEO)
        if pictures and not of_pictures:
            raise UsageError(f"save: {VIDEO} is for films, but there are pictures too. Add a kind for them: overlay.")
        return cls(of_pictures if pictures else (), kinds if films else ())

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.pictures, *self.frames)))

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(kind for kind in self.all if kind in TABLES)

    @property
    def confidence(self) -> bool:
        """Whether the probability of each pixel's class is needed."""
        return any(WRITERS.entry(kind).confidence for kind in self.all if kind in WRITERS)

    @property
    def probabilities(self) -> bool:
        """Whether the probabilities of all classes are needed."""
        return any(WRITERS.entry(kind).probabilities for kind in self.all if kind in WRITERS)
