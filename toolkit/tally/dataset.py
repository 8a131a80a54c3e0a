"""Counting a dataset by its class masks, and its instances by its instance masks if it has any."""

from array import array
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from toolkit.conversion.scan import nothing_converted
from toolkit.errors import DataError, DatasetError
from toolkit.findings import Finding
from toolkit.labels.classmap import IGNORE, IGNORE_LABEL, ClassMap
from toolkit.parallel import Crew, shown
from toolkit.progress import Progress
from toolkit.tally.figures import ClassFigures, SideFigures, Spread, Statistics, by_frequency, octaves
from toolkit.tally.instances import count_instances
from toolkit.voc.counts import refuse_foreign
from toolkit.voc.folder import VocFolder
from toolkit.voc.layout import SPLIT_NAMES
from toolkit.voc.maskfile import pixels_in
from toolkit.voc.pixels import read_mask

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Measured:
    """One mask: (H, W), pixels by value (256,), (class id, pixels) of each instance; or why it cannot be counted."""

    stem: str
    size: tuple[int, int] = (0, 0)
    pixels: Counts | None = None
    instances: tuple[tuple[int, int], ...] | None = None
    failure: Finding | None = None


@dataclass
class _Side:
    images: int = 0
    class_images: Counts = field(default_factory=lambda: np.zeros(256, np.int64))
    class_pixels: Counts = field(default_factory=lambda: np.zeros(256, np.int64))

    def add(self, pixels: Counts) -> None:
        self.images += 1
        self.class_images += pixels > 0
        self.class_pixels += pixels


@dataclass
class _Totals(_Side):
    image_sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    per_image: "array[int]" = field(default_factory=lambda: array("q"))
    instances: "list[array[int]]" = field(default_factory=lambda: [array("q") for _ in range(256)])
    without_shapes: int = 0
    failures: list[Finding] = field(default_factory=list)

    def add_image(self, measured: _Measured, background: int | None) -> None:
        assert measured.pixels is not None
        self.add(measured.pixels)
        self.image_sizes[measured.size] += 1
        self.without_shapes += set(np.flatnonzero(measured.pixels)) == {background}
        if measured.instances is not None:
            self.per_image.append(len(measured.instances))
            for class_id, pixels in measured.instances:
                self.instances[class_id].append(pixels)


def tally_dataset(folder: VocFolder, workers: int | None, progress: Progress) -> Statistics:
    """Count a dataset. Raises DatasetError if it holds no mask with a picture."""
    listed = folder.class_map()
    stems = sorted(folder.image_stems() & folder.mask_stems())
    if not stems:
        raise DatasetError(f"{folder.root}: holds no image with a mask. Make a dataset with: seg convert LABELME_DIR")
    totals = _Totals(failures=_incomplete(folder))
    members, sides = _sides(folder, totals.failures)
    work = partial(_measure, folder=folder, K=len(listed) if listed is not None else IGNORE)
    with Crew(workers) as crew:
        for measured in shown(progress, crew.map(work, stems), "Counting pixels", len(stems)):
            if measured.failure is not None or measured.pixels is None:
                totals.failures += [measured.failure] if measured.failure is not None else []
                continue
            totals.add_image(measured, listed.background if listed is not None else None)
            for name in members.get(measured.stem, ()):
                sides[name].add(measured.pixels)
    if not totals.images:
        raise nothing_converted(totals.failures)
    return _statistics(folder, listed or _by_ids(totals.class_pixels), totals, sides)


def _incomplete(folder: VocFolder) -> list[Finding]:
    images, masks = folder.image_stems(), folder.mask_stems()
    findings = [
        Finding(str(folder.images), f"'{stem}' has no mask in {folder.masks.name}.", "", "no-mask", "error")
        for stem in sorted(images - masks)
    ]
    return findings + [
        Finding(str(folder.masks), f"'{stem}' has no picture in {folder.images.name}.", "", "no-picture", "error")
        for stem in sorted(masks - images)
    ]


def _sides(folder: VocFolder, failures: list[Finding]) -> tuple[dict[str, list[str]], dict[str, _Side]]:
    """The lists of each stem, and an empty count for each list that there is and that names something."""
    members: dict[str, list[str]] = {}
    sides = {}
    for name in SPLIT_NAMES:
        if not folder.list_file(name).is_file():
            continue
        try:
            stems = folder.read_list(name)
        except DatasetError as error:
            failures.append(_failure(folder.list_file(name), error))
            continue
        if stems:
            sides[name] = _Side()
        for stem in stems:
            members.setdefault(stem, []).append(name)
    return members, sides


def _measure(stem: str, folder: VocFolder, K: int) -> _Measured:
    path = folder.mask(stem)
    try:
        mask = read_mask(path)
        found = pixels_in(mask)
        refuse_foreign(folder, stem, found, K)
        path = folder.object_mask(stem)
        instances = count_instances(mask, path) if path.is_file() else None
    except DataError as error:
        return _Measured(stem, failure=_failure(path, error))
    pixels = np.zeros(256, np.int64)
    for value, amount in found:
        pixels[value] = amount
    return _Measured(stem, (mask.shape[0], mask.shape[1]), pixels, instances)


def _statistics(folder: VocFolder, classes: ClassMap, totals: _Totals, sides: dict[str, _Side]) -> Statistics:
    K = len(classes)
    everything = np.concatenate([np.array(sizes, np.int64) for sizes in totals.instances])

    def figures(name: str, index: int) -> ClassFigures:
        sizes, images, pixels = totals.instances[index], totals.class_images[index], totals.class_pixels[index]
        return ClassFigures(name, index, len(sizes), int(images), int(pixels), Spread.of(sizes))

    return Statistics(
        source=folder.root,
        kind="dataset",
        images=totals.images,
        classes=tuple(figures(name, index) for index, name in enumerate(classes.names)),
        ignored=figures(IGNORE_LABEL, IGNORE),
        kinds={},
        image_sizes=by_frequency(totals.image_sizes),
        shapes_per_image=Spread.of(totals.per_image) if totals.per_image else None,
        shape_sizes=Spread.of(everything) if totals.per_image else None,
        size_octaves=octaves(everything),
        without_shapes=totals.without_shapes,
        sides={
            name: SideFigures(side.images, tuple(side.class_images[:K].tolist()), tuple(side.class_pixels[:K].tolist()))
            for name, side in sides.items()
        },
        failures=tuple(totals.failures),
    )


def _by_ids(pixels: Counts) -> ClassMap:
    largest = int(np.flatnonzero(pixels[:IGNORE]).max(initial=0))
    return ClassMap(tuple(f"class {index}" for index in range(largest + 1)))


def _failure(path: Path, error: DataError) -> Finding:
    return Finding(str(path), str(error).removeprefix(f"{path}: "), code="not-counted", level="error")
