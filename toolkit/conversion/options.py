"""Everything besides the files themselves that decides what a conversion writes."""

import math
from dataclasses import dataclass, fields
from typing import Any

from toolkit.errors import UsageError, unknown_name
from toolkit.labels.raster import LINE_WIDTH, POINT_SIZE

IMAGE_FORMATS = ("jpg", "png", "keep")
ORDERS = ("list", "area", "priority")
UNKNOWN = ("error", "ignore", "background", "add")
UNLABELLED = ("skip", "background")

MEGAPIXELS = 500.0


@dataclass(frozen=True)
class DrawOptions:
    """What decides the bytes of one image and its masks, besides its annotation and the class ids.

    image_format    jpg: everything that is not an upright JPEG becomes one of quality 95; png: becomes PNG without
                    loss; keep: PNG stays PNG
    order           which shape covers which: list: the later one, as in labelme; area: the smaller one; priority:
                    that of the higher class
    line_width      pixels, of lines and linestrips
    point_size      radius in pixels, of points
    instances       write SegmentationObject, too
    rescale         scale the points where the picture was resized after it was annotated, instead of refusing
    encoding        of the JSON text; None: UTF-8, or what a byte order mark says
    max_megapixels  larger pictures are refused before they are decoded
    """

    image_format: str = "jpg"
    order: str = "list"
    line_width: int = LINE_WIDTH
    point_size: int = POINT_SIZE
    instances: bool = True
    rescale: bool = False
    encoding: str | None = None
    max_megapixels: float = MEGAPIXELS

    def __post_init__(self) -> None:
        _one_of("image format", self.image_format, IMAGE_FORMATS)
        _one_of("order", self.order, ORDERS)
        for name, least, most in (("line_width", 1, 1000), ("point_size", 0, 1000)):
            value = getattr(self, name)
            if not least <= value <= most:
                raise UsageError(f"{name.replace('_', ' ')}: {least} to {most} pixels are possible, got {value}.")
        if not 0 < self.max_megapixels < math.inf:
            raise UsageError(f"max megapixels: a number above 0 is needed, got {self.max_megapixels:g}.")
        try:
            "".encode(self.encoding or "utf-8")
        except (LookupError, ValueError):  # unknown, or none for text
            raise UsageError(
                f"encoding '{self.encoding}' is not known. Examples: gb18030, cp1252, shift_jis."
            ) from None

    @property
    def max_pixels(self) -> int:
        return int(self.max_megapixels * 1e6)

    def recipe(self) -> dict[str, Any]:
        """What changes the bytes written, as plain values."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "max_megapixels"}


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise unknown_name(what, value, known)


@dataclass(frozen=True)
class LabelOptions:
    """What becomes of the labels.

    rename       new label by old one
    only         labels that are drawn; empty: all
    drop         labels that are not drawn
    unknown      of labels that the list does not have: error: refuse, all named; ignore: 255; background: class 0;
                 add: classes after the listed ones
    priorities   by label, for the order "priority": higher covers lower, those without one have 0
    """

    rename: tuple[tuple[str, str], ...] = ()
    only: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    unknown: str = "error"
    priorities: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        _one_of("policy for unknown labels", self.unknown, UNKNOWN)
        olds = [old for old, _ in self.rename]
        for old in olds:
            if olds.count(old) > 1:
                raise UsageError(f"map: '{old}' is given two new names. Keep one.")
        for label, value in self.priorities:
            if math.isnan(value):
                raise UsageError(f"priority: a number is needed for '{label}', got {value}.")
