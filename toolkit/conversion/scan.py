"""First pass over a labelme folder: which files are annotations, which labels they use, where their pictures are."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from toolkit.conversion.locate import Annotated, PictureFinder, recorded_file
from toolkit.errors import AnnotationError, DataError
from toolkit.files import files_below, folders_not_read
from toolkit.findings import Finding
from toolkit.labels.labelme import is_annotation_file, read_labelme
from toolkit.labels.labelme_fields import PREDICTED
from toolkit.parallel import Crew, shown
from toolkit.progress import SILENT, Progress
from toolkit.voc.folder import VocFolder
from toolkit.voc.layout import IMAGE_SUFFIXES

UNTICK = "Untick it in labelme, in the list Flags, where you have looked"
"""How an annotation stops being a mere prediction."""
NAME_TAKEN = "name-taken"


@dataclass
class Scan:
    """What the annotation files of a folder hold.

    annotated      files to convert, sorted by path
    not_labelme    JSON of another kind
    failures       files that cannot be read
    labels         how many shapes have each label; first_seen: where it came first
    unlabelled     pictures without an annotation, sorted by path
    unreviewed     those of `annotated` that still have the flag `predicted`, sorted by path
    left_out       files that have it and are not to be converted, relative to the folder
    findings       what looked odd about the folder as a whole
    """

    annotated: list[Annotated] = field(default_factory=list)
    not_labelme: list[Path] = field(default_factory=list)
    failures: list[Finding] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    first_seen: dict[str, Path] = field(default_factory=dict)
    unlabelled: list[Path] = field(default_factory=list)
    unreviewed: list[Path] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class _Skim:
    labels: dict[str, int] | None = None  # None: not labelme's
    recorded: str = ""
    named: Path | None = None
    embedded: bool = False
    predicted: bool | None = None
    failure: Finding | None = None


def scan(
    source: Path,
    dataset: VocFolder,
    progress: Progress = SILENT,
    *,
    images: Path | None = None,
    encoding: str | None = None,
    only_reviewed: bool = False,
    elsewhere: Mapping[str, Path] | None = None,
    crew: Crew | None = None,
) -> Scan:
    """Read every annotation below `source` once, without its picture.

    dataset         what is below its root is not looked at
    images          folder in which the pictures are looked for first
    only_reviewed   leave out annotations that still have the flag `predicted`
    elsewhere       files of other folders by the paths that they have there: annotations here that have one of these
                    paths become failures

    Raises DataError if there is none to convert.
    """
    files, pictures, others = _files(source, dataset)
    finder = PictureFinder(source, pictures, images)
    found = Scan(not_labelme=others, findings=_passed_over(source))
    outcomes = (crew or Crew(0)).map(partial(_skim, encoding=encoding), files)
    left_out = []
    for path, skim in zip(files, shown(progress, outcomes, "Reading annotations", len(files)), strict=True):
        if skim.failure is not None:
            found.failures.append(skim.failure)
        elif skim.labels is None:
            found.not_labelme.append(path)
        else:
            item = finder.annotated(
                path, skim.recorded, skim.named, embedded=skim.embedded, marked=skim.predicted is not None
            )
            if skim.predicted and only_reviewed:
                left_out.append(path)
                continue
            other = elsewhere.get(path.relative_to(source).as_posix()) if elsewhere else None
            if other is not None:
                found.failures.append(in_two_places(path, other))
                continue
            found.annotated.append(item)
            if skim.predicted:
                found.unreviewed.append(path)
            for label, count in skim.labels.items():
                found.labels[label] += count
                found.first_seen.setdefault(label, path)
    if not found.annotated:
        if found.failures:
            raise nothing_converted(found.failures)
        if left_out:
            all_have = f"all {len(left_out)} annotations have" if len(left_out) > 1 else "its one annotation has"
            raise DataError(
                f"{source}: {all_have} the flag '{PREDICTED}'. {UNTICK}, or convert without --only-reviewed."
            )
        what = f"{len(files)} JSON files, but none is labelme's" if files else "no labelme annotation (*.json) in it"
        raise DataError(f"{source}: {what}. Give the folder in which labelme saved its JSON files.")
    # a picture whose annotation cannot be read, or was left out, is not one without
    found.unlabelled = finder.unlabelled(
        [*(item.path for item in found.annotated), *_places(found.failures), *left_out]
    )
    found.left_out = {path.relative_to(source).as_posix() for path in left_out}
    return found


def _skim(path: Path, encoding: str | None) -> _Skim:
    try:
        annotation = read_labelme(path, images=False, encoding=encoding)
    except AnnotationError as error:
        return _Skim(failure=failure_of(path, error))
    if annotation is None:
        return _Skim()
    labels = Counter(shape.label for shape in annotation.shapes)
    named = recorded_file(path.parent, annotation.recorded)
    return _Skim(dict(labels), annotation.recorded, named, isinstance(annotation.image, bytes), annotation.predicted)


def require_source(source: Path) -> None:
    """Raise DataError unless there is such a folder."""
    if not source.exists():
        raise DataError(f"{source}: there is no such folder.")
    if not source.is_dir():
        raise DataError(f"{source}: is a file. Give the folder in which labelme saved its JSON files.")


def _files(source: Path, dataset: VocFolder) -> tuple[list[Path], list[Path], list[Path]]:
    """JSON files, pictures, and pipes called *.json below `source`, sorted by path.

    What `seg` itself wrote there is not looked at. A link that leads nowhere is one of the files: it shall be missed.
    """
    require_source(source)
    inside, own = os.path.abspath(source) + os.sep, _own(source, dataset)
    holds_own = own[0].startswith(inside)
    annotations, pictures, others = [], [], []
    for path in files_below(source, (".json", *IMAGE_SUFFIXES)):
        if path.name.startswith("._") or (holds_own and os.path.abspath(path).startswith(own)):
            continue
        if path.suffix.lower() in IMAGE_SUFFIXES:
            pictures.append(path)
        elif is_annotation_file(path) or path.is_symlink():
            annotations.append(path)
        elif path.suffix:
            others.append(path)
    return sorted(annotations, key=_parts), sorted(pictures, key=_parts), sorted(others, key=_parts)


def _own(source: Path, dataset: VocFolder) -> tuple[str, ...]:
    """What paths of the dataset begin with; its parts where it lies in the folder itself."""
    root = os.path.abspath(dataset.root)
    if root != os.path.abspath(source):
        return (root + os.sep,)
    folders = (dataset.images, dataset.masks, dataset.objects, dataset.lists)
    return (*(os.path.abspath(folder) + os.sep for folder in folders), os.path.abspath(dataset.report_file))


def _parts(path: Path) -> str:
    """Sorts by folder first, as comparing the parts of the path does."""
    return str(path).replace(os.sep, "\0")


def _passed_over(source: Path) -> list[Finding]:
    way_out = "Convert it by a path of its own, or give permission to read it."
    return [Finding(str(path), reason, way_out, "folder-not-read") for path, reason in folders_not_read(source)]


def _places(failures: Sequence[Finding]) -> list[Path]:
    return [Path(failure.place) for failure in failures]


def failure_of(path: Path, error: DataError) -> Finding:
    """The error of one file as an entry of a report."""
    text = str(error)
    place = str(path)
    reason = text[len(place) + 2 :] if text.startswith(f"{place}: ") else text
    return Finding(place, reason, code="not-converted", level="error")


def in_two_places(path: Path, other: Path) -> Finding:
    """The entry of a report for a file that would replace what the dataset has from another folder."""
    text = f"is in two places: the dataset has {other}."
    way_out = (
        "Keep one: delete this one, or delete that one and run the command again. If they belong to two pictures, "
        "convert a folder that holds both folders, with --overwrite."
    )
    return Finding(str(path), text, way_out, "in-two-places", "error")


def name_taken(path: Path, other: Path) -> Finding:
    """The entry of a report for a file that would replace another picture, whose own file is gone."""
    text = f"its name is taken by another picture, of {other}, which is gone."
    way_out = "Rename this one, or convert everything anew with --overwrite."
    return Finding(str(path), text, way_out, NAME_TAKEN, "error")


def nothing_converted(failures: Sequence[Finding]) -> DataError:
    """The error when not one annotation could be converted: the first reason, and how many more there are."""
    more = len(failures) - 1
    return DataError(f"{failures[0]}" + (f" ({more} more like it)" if more else ""))
