"""What an annotator drew, independent of the file format it came from.

Points are (x, y) in pixels, pixel (0, 0) is the top left one; sizes are (H, W).
"""

import functools
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.findings import Finding

Mask: TypeAlias = npt.NDArray[np.uint8]
"""uint8 (H, W) of class ids 0..254; 255 is ignore."""

Point: TypeAlias = tuple[float, float]

KINDS = (
    "polygon",
    "rectangle",
    "circle",
    "line",
    "linestrip",
    "point",
    "points",
    "mask",
    "oriented_rectangle",
)


@dataclass(frozen=True)
class Shape:
    """One drawn thing.

    label      the text on it, as the annotator wrote it
    kind       one of KINDS
    points     finite (x, y) pairs; how many depends on the kind
    group_id   shapes of one label with the same id are one instance; None: an instance of its own
    bitmap     bool (h, w), only for kind "mask": placed with its top left pixel at points[0]
    text       the annotator's free description
    number     its position in the file, from 0; -1: not from a file
    """

    label: str
    kind: str
    points: tuple[Point, ...]
    group_id: int | None = None
    bitmap: npt.NDArray[np.bool_] | None = None
    text: str = ""
    number: int = field(default=-1, compare=False)


_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
"""Control characters, which would command a terminal, and marks without width; not the joiners of some scripts."""


@functools.lru_cache(4096)
def clean_label(text: str) -> str:
    """A label as it is compared and written: composed characters (NFC), single blanks, none at the ends, none unseen.

    What looks alike must not become two classes.
    """
    return " ".join(unicodedata.normalize("NFC", _UNSEEN.sub("", text)).split())


@dataclass(frozen=True)
class Annotation:
    """All that was saved for one image.

    path         the annotation file
    image        the encoded image file's bytes if they were embedded (b"" if they were not asked for), else the
                 recorded path as written (relative to the annotation file, with any slashes), or None if neither
                 was recorded
    recorded     the recorded path, also when the image was embedded; "" if none
    size         (H, W) as recorded, or None
    shapes       in drawing order: later ones lie on top
    version      the writer's version text, "" if none
    findings     shapes that were left out while reading, and whatever else looked odd
    predicted    the flag of that name: True: a model drew it and nobody has looked at it; False: somebody has; None:
                 it has no such flag
    """

    path: Path
    image: bytes | str | None
    size: tuple[int, int] | None
    shapes: tuple[Shape, ...]
    version: str = ""
    findings: tuple[Finding, ...] = ()
    recorded: str = ""
    predicted: bool | None = None
