"""One annotation -> one picture and its masks: the work of the second pass, in whichever process."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from toolkit.conversion.arrange import covering_order, rescaled, unseen
from toolkit.conversion.labelling import Labelling
from toolkit.conversion.locate import Annotated
from toolkit.conversion.options import DrawOptions
from toolkit.conversion.pictures import Picture, compare_with_origin, prepare, read_picture
from toolkit.conversion.records import Record
from toolkit.conversion.scan import failure_of
from toolkit.errors import AnnotationError, DataError, ImageError
from toolkit.files import write_bytes
from toolkit.findings import Finding
from toolkit.labels.annotation import Annotation, Shape
from toolkit.labels.labelme import parse_labelme, read_annotation_bytes
from toolkit.labels.raster import Drawing, instance_numbers
from toolkit.voc.folder import VocFolder
from toolkit.voc.layout import IMAGE_SUFFIXES
from toolkit.voc.pixels import encode_instances, encode_mask

_RULES = 1  # to be raised when the same input shall give other bytes, so that --update renews them
_PAGE_INSTANCES = 254  # so many fit into a palette PNG


@dataclass(frozen=True)
class Plan:
    """What all jobs of a conversion share.

    source     the folder that is converted; folder: the same, absolute
    dataset    None: nothing is written, only looked at
    renewing   there may be older files under the stems
    """

    source: Path
    folder: str
    dataset: VocFolder | None
    labelling: Labelling
    options: DrawOptions
    renewing: bool = False


@dataclass(frozen=True)
class Job:
    """One image to be written, or only looked at if the plan has no dataset.

    item     an annotation, or a picture without one
    digest   of what was written before, "" if nothing was
    """

    plan: Plan
    item: Annotated | Path
    stem: str
    digest: str = ""

    @property
    def path(self) -> Path:
        return self.item if isinstance(self.item, Path) else self.item.path


@dataclass(frozen=True)
class Outcome:
    """What became of a job: a record, or the reason why there is none; neither if nothing has changed."""

    record: Record | None = None
    failure: Finding | None = None


def render(job: Job) -> Outcome:
    """Write the picture, the class mask and the instance mask of one annotation."""
    try:
        return Outcome(_render(job))
    except DataError as error:
        return Outcome(failure=failure_of(job.path, error))


def _render(job: Job) -> Record | None:
    plan = job.plan
    if isinstance(job.item, Path):
        annotation, origin, data, place = None, b"", read_picture(job.item), str(job.item)
    else:
        origin = read_annotation_bytes(job.item.path)
        annotation = parse_labelme(job.item.path, origin, encoding=plan.options.encoding)
        if annotation is None:
            raise AnnotationError(f"{job.path}: changed while it was converted. Run the command again.")
        data, place = _picture_data(annotation, job.item)
    shapes, ids = _labelled(annotation, plan) if annotation is not None else ([], [])
    digest = _digest(
        plan, origin, b"" if annotation is not None and isinstance(annotation.image, bytes) else data, shapes
    )
    if digest == job.digest and plan.dataset is not None and _is_complete(plan, job.stem):
        return None
    picture = prepare(data, place, annotation, plan.options)
    findings = [*(annotation.findings if annotation is not None else ()), *picture.findings]
    if isinstance(job.item, Annotated):
        findings += job.item.findings
        if job.item.beside is not None:
            findings += compare_with_origin(job.item.beside, picture.size, job.path)
    if annotation is not None and annotation.size is not None and plan.options.rescale:
        shapes = rescaled(shapes, annotation.size, picture.size)
    numbers = instance_numbers(shapes)
    order = covering_order(shapes, plan.options, plan.labelling.ranks)
    drawing = Drawing(
        [shapes[index] for index in order],
        picture.size,
        line_width=plan.options.line_width,
        point_size=plan.options.point_size,
    )
    ids, numbers = [ids[index] for index in order], [numbers[index] for index in order]
    findings += unseen(drawing, plan.options, job.path)
    if plan.options.instances and max(numbers, default=0) > _PAGE_INSTANCES:
        text = f"has {max(numbers)} instances; its instance mask is a 16-bit grey PNG."
        findings.append(
            Finding(str(job.path), text, "Programs that read 8 bits only need --no-instances.", "many-instances")
        )
    if plan.dataset is not None:
        _write(plan, job.stem, picture, drawing, ids, numbers)
    pixels = drawing.pixels(ids)
    return Record(
        stem=job.stem,
        folder=plan.folder,
        source=job.path.relative_to(plan.source).as_posix(),
        digest=digest,
        shapes=dict(sorted(Counter(shape.label for shape in shapes).items())),
        pixels={int(value): int(pixels[value]) for value in np.flatnonzero(pixels)},
        findings=tuple(findings),
    )


def _picture_data(annotation: Annotation, item: Annotated) -> tuple[bytes, str]:
    if isinstance(annotation.image, bytes):
        return annotation.image, f"{annotation.path}: imageData"
    if item.picture is None:
        raise ImageError(f"{annotation.path}: {item.missing}")
    return read_picture(item.picture), str(item.picture)


def _labelled(annotation: Annotation, plan: Plan) -> tuple[list[Shape], list[int]]:
    """The shapes that are drawn, under the names of their classes, and their class ids."""
    names, ids = plan.labelling.names, plan.labelling.ids
    shapes = []
    for shape in annotation.shapes:
        name = names.get(shape.label)
        if name is not None:
            shapes.append(shape if name == shape.label else replace(shape, label=name))
    return shapes, [ids[shape.label] for shape in shapes]


def _digest(plan: Plan, annotation: bytes, picture: bytes, shapes: Sequence[Shape]) -> str:
    labels = sorted({shape.label for shape in shapes})
    by_priority = plan.options.order == "priority"
    used = [(label, plan.labelling.ids[label], plan.labelling.ranks[label] if by_priority else 0) for label in labels]
    recipe = json.dumps([_RULES, plan.options.recipe(), used])
    parts = [hashlib.sha256(part).digest() for part in (recipe.encode(), annotation, picture)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _is_complete(plan: Plan, stem: str) -> bool:
    dataset = plan.dataset
    assert dataset is not None
    if not dataset.mask(stem).is_file() or dataset.object_mask(stem).is_file() != plan.options.instances:
        return False
    return any((dataset.images / f"{stem}{suffix}").is_file() for suffix in (".jpg", ".png"))


def _write(
    plan: Plan, stem: str, picture: Picture, drawing: Drawing, ids: Sequence[int], numbers: Sequence[int]
) -> None:
    dataset = plan.dataset
    assert dataset is not None
    for suffix in IMAGE_SUFFIXES if plan.renewing else ():  # an older picture in another format would be found first
        if suffix != picture.suffix:
            (dataset.images / f"{stem}{suffix}").unlink(missing_ok=True)
    write_bytes(dataset.images / f"{stem}{picture.suffix}", picture.data)
    if plan.options.instances:
        write_bytes(dataset.object_mask(stem), encode_instances(drawing.instances(ids, numbers)))
    elif plan.renewing:
        dataset.object_mask(stem).unlink(missing_ok=True)
    write_bytes(dataset.mask(stem), encode_mask(drawing.classes(ids)))  # last: a stem with a mask is complete
