"""What a table is made of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.labels.classmap import ClassMap
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers.options import WriteOptions


@dataclass(frozen=True)
class TableRow:
    """What one picture adds to a table.

    name     of what is written for the picture, relative, without suffix, with forward slashes
    source   the file that the picture came from
    size     (H, W)
    frame    its number in a film, from 0; None: a picture of its own
    data     what `Table.record` made of its prediction, unchanged or read back from JSON
    """

    name: str
    source: str
    size: tuple[int, int]
    frame: int | None
    data: dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A kind of output that is one file, or a few, for all pictures of a call.

    record     prediction, options -> what it adds, as plain values for JSON
    assemble   rows, classes, folder, options -> the files written. Rows are asked for once, one after the other, and not
               kept: there may be millions. Raises SegError if a file cannot be written; none is left half written
    """

    record: Callable[[Prediction, WriteOptions], dict[str, Any]]
    assemble: Callable[[Iterable[TableRow], ClassMap, Path, WriteOptions], list[Path]]
