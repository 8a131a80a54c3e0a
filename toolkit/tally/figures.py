"""How much there is of everything: the figures that `seg stats` shows."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.findings import Finding

_MOST_SIZES = 10


@dataclass(frozen=True)
class Spread:
    """The smallest, the middle and the largest of `count` whole numbers; all 0 if there are none."""

    count: int = 0
    least: int = 0
    median: float = 0.0
    most: int = 0

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "Spread":
        """The median of an even number of numbers is the mean of the middle two."""
        values = np.fromiter(numbers, np.int64)
        if not values.size:
            return cls()
        return cls(values.size, int(values.min()), float(np.median(values)), int(values.max()))


@dataclass(frozen=True)
class ClassFigures:
    """How much there is of one class.

    index     class id, as the dataset has it or as `seg convert` would give it; 255 of `__ignore__`
    shapes    what of it was drawn; in a dataset: the instances in its instance masks
    images    in how many images it is seen
    pixels    in all masks
    sizes     pixels that are seen of each shape, those wholly covered by others included (0)
    """

    name: str
    index: int
    shapes: int
    images: int
    pixels: int
    sizes: Spread


@dataclass(frozen=True)
class SideFigures:
    """One list of a dataset: how many images, and in how many of them and on how many pixels each class is."""

    images: int
    class_images: tuple[int, ...]
    class_pixels: tuple[int, ...]


@dataclass(frozen=True)
class Statistics:
    """What a labelme folder or a dataset holds.

    source            the folder
    kind              "labelme" or "dataset"
    images            counted ones: annotations that can be read, or masks with a picture
    classes           in the order of ids, background included; `ignored` stands apart
    kinds             how many shapes of each kind; empty for a dataset
    image_sizes       how many images have each (H, W), the most frequent first
    shapes_per_image  annotations without a shape included; None for a dataset without instance masks
    shape_sizes       pixels that are seen of a shape; None as above
    size_octaves      how many shapes have 0, 1, 2 to 3, 4 to 7, ... pixels
    without_shapes    how many of the images are nothing but background
    without_picture   annotations whose picture is not there
    unlabelled        pictures without an annotation
    not_labelme       JSON files of another kind
    unreviewed        annotations that still have the flag `predicted`: nobody has looked at them; None for a dataset,
                      which does not know
    sides             the lists that a dataset has
    failures          files that could not be counted
    """

    source: Path
    kind: str
    images: int
    classes: tuple[ClassFigures, ...]
    ignored: ClassFigures
    kinds: dict[str, int]
    image_sizes: dict[tuple[int, int], int]
    shapes_per_image: Spread | None
    shape_sizes: Spread | None
    size_octaves: tuple[int, ...] = ()
    without_shapes: int = 0
    without_picture: int = 0
    unlabelled: int = 0
    not_labelme: int = 0
    unreviewed: int | None = None
    sides: dict[str, SideFigures] = field(default_factory=dict)
    failures: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every file could be counted."""
        return not self.failures

    @property
    def pixels(self) -> int:
        """Of all classes, ignored ones not counted."""
        return sum(figures.pixels for figures in self.classes)

    @property
    def shapes(self) -> int:
        """Of all classes, ignored ones included."""
        return sum(figures.shapes for figures in (*self.classes, self.ignored))

    def share(self, figures: ClassFigures) -> float:
        """Of the pixels that are not ignored, 0..1."""
        return figures.pixels / self.pixels if self.pixels else 0.0

    def middle_sizes(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """(H, W) of the image with the fewest, the middle number of, and the most pixels."""
        each = sorted(self.image_sizes, key=lambda size: (size[0] * size[1], size))
        counts = np.cumsum([self.image_sizes[size] for size in each])
        return each[0], each[int(np.searchsorted(counts, (self.images + 1) // 2))], each[-1]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; sizes as [H, W]."""
        return {
            "source": str(self.source.resolve()),
            "kind": self.kind,
            "images": self.images,
            "shapes": self.shapes,
            "pixels": self.pixels,
            "classes": [_class_dict(figures, self.share(figures)) for figures in self.classes],
            "ignored": _class_dict(self.ignored, None),
            "kinds": self.kinds,
            "image_sizes": self._sizes_dict(),
            "shapes_per_image": _spread_dict(self.shapes_per_image),
            "shape_sizes": _spread_dict(self.shape_sizes),
            "size_octaves": list(self.size_octaves),
            "without_shapes": self.without_shapes,
            "without_picture": self.without_picture,
            "unlabelled": self.unlabelled,
            "not_labelme": self.not_labelme,
            "unreviewed": self.unreviewed,
            "lists": {name: vars(side) for name, side in self.sides.items()},
            "failures": [item.as_dict() for item in self.failures],
        }

    def _sizes_dict(self) -> dict[str, Any]:
        least, median, most = (list(size) for size in self.middle_sizes())
        frequent = [{"size": list(size), "images": n} for size, n in list(self.image_sizes.items())[:_MOST_SIZES]]
        return {
            "different": len(self.image_sizes),
            "least": least,
            "median": median,
            "most": most,
            "most_frequent": frequent,
        }


def octaves(sizes: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """How many of the sizes are 0, 1, 2 to 3, 4 to 7, 8 to 15, ..., up to the largest one."""
    if not sizes.size:
        return ()
    exponents = np.frexp(sizes.astype(np.float64))[1]  # 0 -> 0, 1 -> 1, 2 and 3 -> 2, 4 to 7 -> 3
    return tuple(np.bincount(exponents).tolist())


def by_frequency(sizes: Counter[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """The most frequent size first; of equally frequent ones the larger."""
    return dict(sorted(sizes.items(), key=lambda item: (-item[1], -item[0][0] * item[0][1], item[0])))


def _class_dict(figures: ClassFigures, share: float | None) -> dict[str, Any]:
    plain = {**vars(figures), "sizes": _spread_dict(figures.sizes)}
    return plain if share is None else plain | {"share": share}


def _spread_dict(spread: Spread | None) -> dict[str, Any] | None:
    return dict(vars(spread)) if spread is not None else None
