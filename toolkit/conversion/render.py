"""One annotation -> one picture and its masks: the work of the second pass, in whichever process."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from toolkit.conversion.arrange import covering_order, rescaled, unseen
from toolkit.conversion.labelling import Labelling
from toolkit.conversion.locate import Annotated
from toolkit.conversion.options import IMAGE_FORMATS, DrawOptions
from toolkit.conversion.pictures import Picture, compare_with_origin, prepare, read_picture
from toolkit.conversion.records import Record
from toolkit.conversion.scan import failure_of, name_taken
from toolkit.errors import AnnotationError, DataError, ImageError
from toolkit.files import write_bytes
from toolkit.findings import Finding
from toolkit.labels.annotation import Annotation, Shape
from toolkit.labels.classmap import IGNORE
from toolkit.labels.labelme import parse_labelme, read_annotation_bytes
from toolkit.labels.raster import MOST_INSTANCES, Drawing, instance_numbers
from toolkit.voc.folder import VocFolder
from toolkit.voc.layout import IMAGE_SUFFIXES
from toolkit.voc.pixels import encode_instances, encode_mask
from toolkit.voc.saved_counts import Fingerprint, fingerprint

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

    @cached_property
    def recipe(self) -> str:
        """The options as text."""
        return json.dumps(self.options.recipe(), sort_keys=True)


@dataclass(frozen=True)
class Job:
    """One image to be written, or only looked at if the plan has no dataset.

    item     an annotation, or a picture without one
    digest   of what was written before, "" if nothing was
    follows  the file of another folder that this was written from, and that is gone
    """

    plan: Plan
    item: Annotated | Path
    stem: str
    digest: str = ""
    follows: Path | None = None

    @property
    def path(self) -> Path:
        return self.item if isinstance(self.item, Path) else self.item.path

    @property
    def source(self) -> str:
        """The path relative to the folder that is converted."""
        return self.path.relative_to(self.plan.source).as_posix()


@dataclass(frozen=True)
class Outcome:
    """What became of a job: a record, or the reason why there is none; neither if nothing has changed.

    mask   the fingerprint of the mask that was written
    """

    record: Record | None = None
    mask: Fingerprint | None = None
    failure: Finding | None = None


def render(job: Job) -> Outcome:
    """Write the picture, the class mask and the instance mask of one annotation."""
    try:
        record = _render(job)
    except DataError as error:
        return Outcome(failure=failure_of(job.path, error))
    if isinstance(record, Finding):
        return Outcome(failure=record)
    if record is None or job.plan.dataset is None:
        return Outcome(record)
    return Outcome(record, fingerprint(job.plan.dataset.mask(job.stem)))


@dataclass(frozen=True)
class _Input:
    """What the files of a job hold; the text of the annotation itself is not kept.

    annotation   None: a picture without one
    data         the encoded picture; `place` names it in messages
    shapes       what is drawn, under the names of the classes
    """

    annotation: Annotation | None
    data: bytes
    place: str
    shapes: list[Shape]
    digest: str


def _render(job: Job) -> Record | Finding | None:
    plan, options = job.plan, job.plan.options
    given = _read(job)
    if given.digest == job.digest and plan.dataset is not None and _is_complete(plan.dataset, job.stem, options):
        return None
    picture = prepare(given.data, given.place, given.annotation, options)
    if job.follows is not None and given.digest != job.digest and not _is_same_picture(job, given, picture):
        return name_taken(job.path, job.follows)
    shapes = given.shapes
    if options.rescale and given.annotation is not None and given.annotation.size is not None:
        shapes = rescaled(shapes, given.annotation.size, picture.size)
    order = covering_order(shapes, options, plan.labelling.ranks)
    numbers = instance_numbers(shapes)
    shapes, numbers = [shapes[index] for index in order], [numbers[index] for index in order]
    ids = [plan.labelling.ids[shape.label] for shape in shapes]
    drawing = Drawing(shapes, picture.size, line_width=options.line_width, point_size=options.point_size)
    if plan.dataset is not None:
        _write(plan, job.stem, picture, drawing, ids, numbers)
    return Record(
        stem=job.stem,
        folder=plan.folder,
        source=job.source,
        digest=given.digest,
        shapes=dict(sorted(Counter(shape.label for shape in shapes).items())),
        pixels=drawing.pixels(ids),
        findings=(*_findings(job, given, picture), *_findings_of_drawing(job, drawing, ids, numbers)),
    )


def _read(job: Job) -> _Input:
    plan = job.plan
    if isinstance(job.item, Path):
        data = read_picture(job.item)
        return _Input(None, data, str(job.item), [], _digest(plan, b"", data, []))
    text = read_annotation_bytes(job.item.path)
    annotation = parse_labelme(job.item.path, text, encoding=plan.options.encoding)
    if annotation is None:
        raise AnnotationError(f"{job.path}: changed while it was converted. Run the command again.")
    shapes = _labelled(annotation, plan)
    data, place = _picture_data(annotation, job.item)
    embedded = isinstance(annotation.image, bytes)
    return _Input(annotation, data, place, shapes, _digest(plan, text, b"" if embedded else data, shapes))


def _findings(job: Job, given: _Input, picture: Picture) -> list[Finding]:
    """What looked odd while reading."""
    if given.annotation is None or not isinstance(job.item, Annotated):
        return list(picture.findings)
    findings = [*given.annotation.findings, *picture.findings, *job.item.findings]
    if job.item.beside is not None:
        findings += compare_with_origin(job.item.beside, picture.size, job.path)
    return findings


def _findings_of_drawing(job: Job, drawing: Drawing, ids: Sequence[int], numbers: Sequence[int]) -> list[Finding]:
    findings = unseen(drawing, job.plan.options, job.path)
    most = max(
        (number for class_id, number in zip(ids, numbers, strict=True) if class_id not in (0, IGNORE)), default=0
    )
    if job.plan.options.instances and most > _PAGE_INSTANCES:
        text = f"has {most} instances; its instance mask is a 16-bit grey PNG."
        if most > MOST_INSTANCES:
            text += f" Those above {MOST_INSTANCES} share that number."
        way_out = "Programs that read 8 bits only need --no-instances."
        findings.append(Finding(str(job.path), text, way_out, "many-instances"))
    return findings


def _picture_data(annotation: Annotation, item: Annotated) -> tuple[bytes, str]:
    if isinstance(annotation.image, bytes):
        return annotation.image, f"{annotation.path}: imageData"
    if item.picture is None:
        raise ImageError(f"{annotation.path}: {item.missing}")
    return read_picture(item.picture), str(item.picture)


def _labelled(annotation: Annotation, plan: Plan) -> list[Shape]:
    """The shapes that are drawn, under the names of their classes."""
    shapes = []
    for shape in annotation.shapes:
        name = plan.labelling.names.get(shape.label)
        if name is not None:
            shapes.append(shape if name == shape.label else replace(shape, label=name))
    return shapes


def _digest(plan: Plan, annotation: bytes, picture: bytes, shapes: Sequence[Shape]) -> str:
    """sha256 over all that decides the bytes written; of the class ids only those that are used here."""
    labels = sorted({shape.label for shape in shapes})
    by_priority = plan.options.order == "priority"
    used = [(label, plan.labelling.ids[label], plan.labelling.ranks[label] if by_priority else 0) for label in labels]
    parts = [repr((_RULES, plan.recipe, used)).encode("utf-8", "backslashreplace"), annotation, picture]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _is_complete(dataset: VocFolder, stem: str, options: DrawOptions) -> bool:
    """Whether everything that was written for a stem is still there."""
    if not dataset.mask(stem).is_file() or dataset.object_mask(stem).is_file() != options.instances:
        return False
    return any((dataset.images / f"{stem}{suffix}").is_file() for suffix in (".jpg", ".png"))


def _is_same_picture(job: Job, given: _Input, picture: Picture) -> bool:
    """Whether it is the one that the dataset has under the stem, in whichever format that was stored, or has lost."""
    if (dataset := job.plan.dataset) is None:
        return True
    paths = [dataset.images / f"{job.stem}{suffix}" for suffix in (".jpg", ".png")]
    stored = [read_picture(path) for path in paths if path.is_file()]
    if not stored or picture.data in stored:
        return True
    for image_format in IMAGE_FORMATS:
        options = replace(job.plan.options, image_format=image_format)
        try:
            if prepare(given.data, given.place, given.annotation, options).data in stored:
                return True
        except ImageError:  # too large for that format, so it was not stored in it
            continue
    return False


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
        write_bytes(
            dataset.object_mask(stem), encode_instances(drawing.instance_image(ids, numbers), max(numbers, default=0))
        )
    elif plan.renewing:
        dataset.object_mask(stem).unlink(missing_ok=True)
    write_bytes(dataset.mask(stem), encode_mask(drawing.class_image(ids)))  # last: a stem with a mask is complete
