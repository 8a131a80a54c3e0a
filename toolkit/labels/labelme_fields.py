"""What is read of an annotation file, by type, whichever way; and what keeps one of its shapes from being drawn."""

import math
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from toolkit.findings import Finding

PREDICTED = "predicted"
"""The flag of a picture whose shapes nobody has looked at; labelme shows it as a box to untick."""

_FINISH = "Open it in labelme and finish or delete the shape."
NOTHING = Raw(b"null")
"""What a field left undecoded holds where the file has none."""


class FileShape(msgspec.Struct, gc=False):
    """A shape as it is written, its label and points of the right type."""

    label: str
    points: list[tuple[float, float]]
    shape_type: str | None = None
    group_id: int | None = None
    description: str | None = None
    mask: Raw = NOTHING


class File(msgspec.Struct):
    """A whole file. Of the picture, what is not there (UNSET) is told from null: without both it is not labelme's."""

    shapes: list[FileShape]
    imagePath: str | UnsetType | None = UNSET  # noqa: N815
    imageData: Raw | UnsetType = UNSET  # noqa: N815
    imageHeight: int | None = None  # noqa: N815
    imageWidth: int | None = None  # noqa: N815
    version: str | None = None
    flags: Raw = NOTHING


class Flags(msgspec.Struct):
    """Those of a file that mean something."""

    predicted: Any = None


class BadShape(Exception):
    """Why a shape is skipped, the field of it that is wrong, as `.points[2]`, and what to do."""

    def __init__(self, field: str, reason: str, code: str, way_out: str = _FINISH) -> None:
        super().__init__(reason)
        self.field = field
        self.code = code
        self.way_out = way_out

    def finding(self, place: str) -> Finding:
        return Finding(f"{place}{self.field}", f"{self} - shape skipped.", self.way_out, self.code)


def is_writable(text: str) -> bool:
    """JSON can hold lone surrogates; no file name and no text file can."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_number(value: object) -> bool:
    """Whether it is a finite number; JSON can hold others."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of floats
        return False
