"""labelme folder -> VOC dataset.

Two passes over the annotations: the first collects the labels, so that every file gets the same class ids and an
unknown label is reported before anything is written; the second writes, one image at a time. One bad file never
stops the others.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.conversion.pictures import picture_of
from toolkit.conversion.replace import replacing
from toolkit.conversion.scan import Scan, class_map, failure_of, nothing_converted, output_stems, scan
from toolkit.conversion.sources import read_sources, refuse_strangers, write_sources
from toolkit.errors import AnnotationError, DataError, UsageError
from toolkit.files import write_bytes, write_text
from toolkit.findings import Finding
from toolkit.labels.annotation import Annotation
from toolkit.labels.classmap import IGNORE, IGNORE_LABEL, ClassMap
from toolkit.labels.labelme import read_labelme
from toolkit.labels.raster import draw_classes, draw_instances
from toolkit.parallel import in_order
from toolkit.progress import SILENT, Progress
from toolkit.voc.folder import VocFolder
from toolkit.voc.layout import DEFAULT_ROOT, IMAGE_SUFFIXES
from toolkit.voc.pixels import encode_instances, encode_mask

IMAGE_FORMATS = ("jpg", "keep")


@dataclass(frozen=True)
class ConvertReport:
    """What a conversion did.

    source         the folder that was converted
    root           the dataset
    classes        class names in id order
    images         how many pictures with masks were written
    shapes         how many shapes were drawn, by label
    pixels         pixels by class name, `__ignore__` included
    without_shapes how many of the pictures have none: they are all background
    not_labelme    JSON files that are something else
    remarks        what was left out or looked odd, though the image was converted
    failures       files that could not be converted
    """

    source: Path
    root: Path
    classes: tuple[str, ...]
    images: int
    shapes: dict[str, int]
    pixels: dict[str, int]
    without_shapes: int = 0
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
            "without_shapes": self.without_shapes,
            "not_labelme": [str(path) for path in self.not_labelme],
            "remarks": [item.as_dict() for item in self.remarks],
            "failures": [item.as_dict() for item in self.failures],
        }


def convert(
    labelme_dir: Path | str,
    out: Path | str | None = None,
    *,
    labels: Path | str | None = None,
    image_format: str = "jpg",
    overwrite: bool = False,
    update: bool = False,
    workers: int | None = 0,
    progress: Progress = SILENT,
) -> ConvertReport:
    """Convert a folder of labelme annotations, subfolders included, into a VOC dataset.

    labels         a list in labelme's convention; without it the classes are derived: background, then the labels
                   sorted by code point (with `update`: the dataset's classes first, new labels after them)
    image_format   "jpg": everything that is not an upright JPEG becomes one; "keep": PNG stays PNG
    overwrite      replace what is in a dataset that is not empty
    update         add to it, and renew what is there
    workers        processes for the writing pass; 0: this one; None: more if they save more than they cost

    Equal input gives equal bytes, whatever the order of files and the number of workers.
    Raises DataError if there is nothing to convert or a label is not in the list, UsageError if the dataset is
    not empty and neither `overwrite` nor `update` was asked for.
    """
    source = Path(labelme_dir)
    dataset = VocFolder(Path(out) if out is not None else DEFAULT_ROOT)
    if image_format not in IMAGE_FORMATS:
        raise UsageError(f"image format '{image_format}' is not known. Known: {', '.join(IMAGE_FORMATS)}.")
    if overwrite and update:
        raise UsageError("overwrite and update contradict each other. Choose one.")
    if not (overwrite or update or dataset.is_empty()):
        raise UsageError(
            f"{dataset.root}: there is a dataset already. Use --update to add to it, --overwrite to replace it, "
            "or --out for another folder."
        )
    found = scan(source, dataset, progress)
    classes = class_map(found, Path(labels) if labels is not None else None, dataset if update else None)
    recorded = read_sources(dataset) if update else {}
    refuse_strangers(dataset, source, recorded, {path.relative_to(source).as_posix() for path in found.annotated})
    stems = output_stems(found.annotated, source, recorded)
    jobs = [_Job(path, stem, dataset, classes, image_format == "keep") for path, stem in stems.items()]
    with replacing(dataset, aside=overwrite):
        write_text(dataset.unfinished, f"{source}\n")
        classes.write(dataset.names_file)
        report = _report(source, dataset, classes, found, _write_all(jobs, workers, progress))
        if not report.images:
            raise nothing_converted(report.failures)
        write_sources(dataset, recorded | {path.relative_to(source).as_posix(): stem for path, stem in stems.items()})
        write_text(dataset.report_file, json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n")
        dataset.unfinished.unlink()
    return report


@dataclass(frozen=True)
class _Job:
    path: Path
    stem: str
    dataset: VocFolder
    classes: ClassMap
    keep_format: bool


@dataclass(frozen=True)
class _Done:
    shapes: dict[str, int]
    pixels: tuple[int, ...]
    remarks: tuple[Finding, ...]
    failure: Finding | None = None


@dataclass
class _Totals:
    images: int = 0
    without_shapes: int = 0
    shapes: Counter[str] = field(default_factory=Counter)
    pixels: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    remarks: list[Finding] = field(default_factory=list)
    failures: list[Finding] = field(default_factory=list)

    def add(self, done: _Done) -> None:
        self.remarks += done.remarks
        if done.failure is not None:
            self.failures.append(done.failure)
            return
        self.images += 1
        self.without_shapes += not done.shapes
        self.shapes.update(done.shapes)
        self.pixels += np.array(done.pixels)


def _write_all(jobs: Sequence[_Job], workers: int | None, progress: Progress) -> _Totals:
    totals = _Totals()
    for done in progress.track(in_order(_write_one, jobs, workers), "Writing images and masks", len(jobs)):
        totals.add(done)
    return totals


def _report(source: Path, dataset: VocFolder, classes: ClassMap, found: Scan, totals: _Totals) -> ConvertReport:
    names = dict(enumerate(classes.names)) | {IGNORE: IGNORE_LABEL}
    return ConvertReport(
        source=source,
        root=dataset.root,
        classes=classes.names,
        images=totals.images,
        shapes=dict(sorted(totals.shapes.items())),
        pixels={name: int(totals.pixels[index]) for index, name in names.items()},
        without_shapes=totals.without_shapes,
        not_labelme=tuple(found.not_labelme),
        remarks=tuple(totals.remarks),
        failures=(*found.failures, *totals.failures),
    )


def _write_one(job: _Job) -> _Done:
    """Convert one annotation: picture, class mask, instance mask."""
    try:
        annotation = read_labelme(job.path)
        if annotation is None:
            raise AnnotationError(f"{job.path}: changed while it was converted. Run the command again.")
        return _write_annotation(annotation, job)
    except DataError as error:
        return _Done({}, (), (), failure_of(job.path, error))


def _write_annotation(annotation: Annotation, job: _Job) -> _Done:
    picture = picture_of(annotation, keep_format=job.keep_format)
    drawn = []
    for shape in annotation.shapes:
        class_id = job.classes.id_of(shape.label)
        if class_id is None:
            raise AnnotationError(
                f"{job.path}: label '{shape.label}' came in while it was converted. Run the command again."
            )
        drawn.append((shape, class_id))
    mask = draw_classes(drawn, picture.size)
    instances = draw_instances(annotation.shapes, mask)
    remarks = annotation.skipped + picture.remarks
    dataset = job.dataset
    for suffix in IMAGE_SUFFIXES:  # an older picture in another format would be found first
        if suffix != picture.suffix:
            (dataset.images / f"{job.stem}{suffix}").unlink(missing_ok=True)
    write_bytes(dataset.images / f"{job.stem}{picture.suffix}", picture.data)
    write_bytes(dataset.object_mask(job.stem), encode_instances(instances))
    write_bytes(dataset.mask(job.stem), encode_mask(mask))  # last: a stem with a mask is complete
    pixels = np.bincount(mask.ravel(), minlength=256)
    return _Done(dict(Counter(shape.label for shape, _ in drawn)), tuple(pixels.tolist()), remarks)
