"""What a conversion did."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.conversion.records import Record
from toolkit.findings import Finding
from toolkit.labels.classmap import IGNORE, IGNORE_LABEL, ClassMap


@dataclass(frozen=True)
class ConvertReport:
    """What a conversion did.

    source         the folder that was converted
    root           the dataset
    classes        class names in id order
    images         how many of the folder's pictures are in the dataset now, with their masks
    shapes         how many shapes were drawn, by label
    pixels         pixels by class name, `__ignore__` included
    unchanged      how many of the pictures had not changed since they were converted, and were left alone
    without_shapes how many of the pictures have none: they are all background
    unlabelled     pictures without an annotation, left out unless they were asked for as background
    gone           images of the dataset that came from this folder and whose annotation is not there any more
    unreviewed     annotations taken in that still have the flag `predicted`: a model drew them and nobody has looked
    left_out       annotations that were left out for that reason, which is done only if asked for
    not_labelme    JSON files that are something else
    remarks        what was left out or looked odd, though the image was converted
                   (with --overwrite also what went with the old dataset; that is not in report.json)
    failures       files that could not be converted
    """

    source: Path
    root: Path
    classes: tuple[str, ...]
    images: int
    shapes: dict[str, int]
    pixels: dict[str, int]
    unchanged: int = 0
    without_shapes: int = 0
    unlabelled: int = 0
    gone: int = 0
    unreviewed: int = 0
    left_out: int = 0
    not_labelme: tuple[Path, ...] = ()
    remarks: tuple[Finding, ...] = ()
    failures: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every annotation was converted."""
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "source": str(self.source.resolve()),
            "dataset": str(self.root),
            "classes": list(self.classes),
            "images": self.images,
            "shapes": self.shapes,
            "pixels": self.pixels,
            "unchanged": self.unchanged,
            "without_shapes": self.without_shapes,
            "unlabelled": self.unlabelled,
            "gone": self.gone,
            "unreviewed": self.unreviewed,
            "left_out": self.left_out,
            "not_labelme": [str(path) for path in self.not_labelme],
            "remarks": [item.as_dict() for item in self.remarks],
            "failures": [item.as_dict() for item in self.failures],
        }


class Totals:
    """Sums over records."""

    def __init__(self) -> None:
        self.images = 0
        self.without_shapes = 0
        self.shapes: Counter[str] = Counter()
        self.pixels: Counter[int] = Counter()
        self.remarks: list[Finding] = []

    def add(self, record: Record) -> None:
        self.images += 1
        self.without_shapes += not record.shapes
        self.shapes.update(record.shapes)
        self.pixels.update(record.pixels)
        self.remarks += record.findings

    def pixels_by_name(self, classes: ClassMap) -> dict[str, int]:
        names = dict(enumerate(classes.names)) | {IGNORE: IGNORE_LABEL}
        return {name: self.pixels[index] for index, name in names.items()}
