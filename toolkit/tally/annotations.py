"""Counting a folder of labelme annotations: every shape is drawn, so pixels are those that its masks will have."""

from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from toolkit.conversion.locate import Annotated
from toolkit.conversion.options import MEGAPIXELS
from toolkit.conversion.scan import Scan, failure_of, nothing_converted, scan
from toolkit.errors import AnnotationError, DataError, ImageError
from toolkit.findings import Finding
from toolkit.labels.annotation import Annotation
from toolkit.labels.classmap import BACKGROUND_LABEL, IGNORE, IGNORE_LABEL
from toolkit.labels.labellist import LabelList, read_label_list
from toolkit.labels.labelme import read_labelme
from toolkit.labels.raster import Drawing
from toolkit.parallel import Crew, shown
from toolkit.progress import Progress
from toolkit.tally.figures import ClassFigures, Spread, Statistics, by_frequency, octaves
from toolkit.voc.folder import VocFolder
from toolkit.voc.layout import DEFAULT_ROOT
from toolkit.voc.pixels import read_header


@dataclass(frozen=True)
class _Measured:
    """One annotation: (H, W), and label, kind and seen pixels of each shape; or why it cannot be counted."""

    size: tuple[int, int] = (0, 0)
    shapes: tuple[tuple[str, str, int], ...] = ()
    failure: Finding | None = None


@dataclass
class _Totals:
    images: int = 0
    pixels: int = 0
    without_shapes: int = 0
    background_images: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    image_sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    per_image: "array[int]" = field(default_factory=lambda: array("q"))
    shape_sizes: "dict[str, array[int]]" = field(default_factory=lambda: defaultdict(lambda: array("q")))
    class_images: Counter[str] = field(default_factory=Counter)
    failures: list[Finding] = field(default_factory=list)

    def add(self, measured: _Measured, aliases: dict[str, str]) -> None:
        if measured.failure is not None:
            self.failures.append(measured.failure)
            return
        named = [(aliases.get(label, label), kind, seen) for label, kind, seen in measured.shapes]
        self.images += 1
        self.pixels += measured.size[0] * measured.size[1]
        self.without_shapes += not named
        self.image_sizes[measured.size] += 1
        self.per_image.append(len(named))
        self.class_images.update({name for name, _, seen in named if seen})
        drawn = sum(seen for name, _, seen in named if name != BACKGROUND_LABEL)
        self.background_images += drawn < measured.size[0] * measured.size[1]
        for name, kind, seen in named:
            self.kinds[kind] += 1
            self.shape_sizes[name].append(seen)


def tally_labelme(source: Path, labels: Path | None, workers: int | None, progress: Progress) -> Statistics:
    """Count a folder of annotations. Raises DataError if there is none in it or `labels` cannot be read."""
    listed = read_label_list(labels) if labels is not None else None
    with Crew(workers) as crew:
        found = scan(source, VocFolder(DEFAULT_ROOT), progress, crew=crew)
        totals = _Totals(failures=list(found.failures))
        outcomes = crew.map(_measure, found.annotated)
        for measured in shown(progress, outcomes, "Drawing shapes", len(found.annotated)):
            totals.add(measured, listed.aliases if listed is not None else {})
    if not totals.images:
        raise nothing_converted(totals.failures)
    return _statistics(source, found, totals, listed)


def _measure(item: Annotated) -> _Measured:
    try:
        annotation = read_labelme(item.path, images=False)
        if annotation is None:
            raise AnnotationError(f"{item.path}: changed while it was counted. Run the command again.")
        size = annotation.size or _size_of_picture(annotation, item)
        if size[0] * size[1] > MEGAPIXELS * 1e6:
            raise AnnotationError(
                f"{item.path}: imageHeight, imageWidth: {size[1]} x {size[0]} pixels are more than {MEGAPIXELS:g} "
                "million. Correct the size."
            )
    except DataError as error:
        return _Measured(failure=failure_of(item.path, error))
    seen = Drawing(annotation.shapes, size).visible
    return _Measured(size, tuple((s.label, s.kind, n) for s, n in zip(annotation.shapes, seen, strict=True)))


def _size_of_picture(annotation: Annotation, item: Annotated) -> tuple[int, int]:
    """(H, W) upright, for annotations that do not record it. Raises DataError."""
    if isinstance(annotation.image, bytes):
        again = read_labelme(item.path)
        if again is not None and isinstance(again.image, bytes):
            return read_header(again.image, f"{item.path}: imageData").upright_size
    if item.picture is None:
        raise ImageError(f"{item.path}: {item.missing}")
    return read_header(item.picture, str(item.picture)).upright_size


def _statistics(source: Path, found: Scan, totals: _Totals, listed: LabelList | None) -> Statistics:
    everything = np.array([seen for sizes in totals.shape_sizes.values() for seen in sizes], np.int64)
    background = totals.pixels - int(everything.sum())

    def figures(name: str, index: int) -> ClassFigures:
        sizes = totals.shape_sizes.get(name, array("q"))
        images, pixels = totals.class_images[name], sum(sizes)
        if name == BACKGROUND_LABEL:  # what nothing is drawn on, and the holes that are drawn
            images, pixels = totals.background_images, pixels + background
        return ClassFigures(name, index, len(sizes), images, pixels, Spread.of(sizes))

    names = listed.classes.names if listed is not None else (BACKGROUND_LABEL,)
    names = (*names, *sorted(set(totals.shape_sizes) - {*names, IGNORE_LABEL}))
    return Statistics(
        source=source,
        kind="labelme",
        images=totals.images,
        classes=tuple(figures(name, index) for index, name in enumerate(names)),
        ignored=figures(IGNORE_LABEL, IGNORE),
        kinds=dict(totals.kinds.most_common()),
        image_sizes=by_frequency(totals.image_sizes),
        shapes_per_image=Spread.of(totals.per_image),
        shape_sizes=Spread.of(everything),
        size_octaves=octaves(everything),
        without_shapes=totals.without_shapes,
        without_picture=sum(bool(item.missing) for item in found.annotated),
        unlabelled=len(found.unlabelled),
        not_labelme=len(found.not_labelme),
        unreviewed=len(found.unreviewed),
        failures=tuple(totals.failures),
    )
