"""Every error that `seg` raises on purpose, as one tree.

    SegError                 a run or its data failed                     exit code 1
    ├── DataError            something the user gave is wrong
    │   ├── AnnotationError  a labelme file
    │   ├── ImageError       an image or mask file
    │   └── DatasetError     a VOC folder or a split
    ├── CheckpointError      a checkpoint or a file of weights
    ├── RunError             training or predicting could not go on
    └── UsageError           the command was asked wrongly                exit code 2
    Interrupted              stopped by the user (not a failure)          exit code 130
    StoppedWithOthers        another process has failed and said why      its exit code

The text of an error says: place, rule, what came, what to do. The command line catches `SegError` once and
prints that text; the library never prints and never exits.
"""

import difflib
from collections.abc import Iterable


class SegError(Exception):
    """Base of every deliberate error; its text is meant for the user."""

    exit_code = 1


class DataError(SegError):
    """Something that the user gave is wrong."""


class AnnotationError(DataError):
    """A labelme file cannot be read."""


class ImageError(DataError):
    """An image or mask file cannot be read."""


class DatasetError(DataError):
    """A VOC folder or a split is incomplete or contradictory."""


class CheckpointError(SegError):
    """A checkpoint or a file of weights cannot be used."""


class RunError(SegError):
    """Training or predicting cannot go on."""


class UsageError(SegError):
    """The command or function was asked for something that does not exist or contradicts itself."""

    exit_code = 2


class StoppedWithOthers(SegError):
    """Another process that shares the work ended it, and has said why; here there is nothing to add."""

    def __init__(self, exit_code: int = 1) -> None:
        super().__init__("stopped together with another process that shares the work")
        self.exit_code = exit_code


class Interrupted(SegError):
    """The user stopped the work; what was done so far is kept."""

    exit_code = 130


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` with the closest of the known words, or an empty text."""
    pool = list(known)
    folded = {name.casefold().strip(): name for name in pool}
    close = difflib.get_close_matches(word.casefold().strip(), folded, n=1, cutoff=0.6)
    return f" Did you mean '{folded[close[0]]}'?" if close else ""


def unknown_name(what: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not in a table: names the closest one, then all."""
    pool = list(known)
    return UsageError(f"{what} '{name}' is not known.{did_you_mean(name, pool)} Known: {', '.join(pool)}.")
