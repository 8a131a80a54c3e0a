"""First pass over a labelme folder: which files are annotations, which labels they use, what each will be called."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.errors import AnnotationError, DataError
from toolkit.files import files_below
from toolkit.findings import Finding
from toolkit.labels.classmap import BACKGROUND_LABEL, ClassMap
from toolkit.labels.labelme import is_annotation_file, read_labelme
from toolkit.progress import Progress
from toolkit.voc.folder import VocFolder

_UNSAFE = re.compile('[\x00-\x1f\x7f\x85<>:"/\\\\|?*\u2028\u2029\ud800-\udfff]')
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
_LONGEST_STEM = 200  # bytes; file systems allow 255 for a name with its suffix


@dataclass
class Scan:
    """What the annotation files of a folder hold.

    annotated      files to convert, sorted by path
    not_labelme    JSON of another kind
    failures       files that cannot be read
    labels         how many shapes have each label; first_seen: where it came first
    """

    annotated: list[Path] = field(default_factory=list)
    not_labelme: list[Path] = field(default_factory=list)
    failures: list[Finding] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    first_seen: dict[str, Path] = field(default_factory=dict)


def scan(source: Path, dataset: VocFolder, progress: Progress) -> Scan:
    """Read every annotation below `source` once. Raises DataError if there is none to convert."""
    files = _annotation_files(source, dataset)
    found = Scan()
    for path in progress.track(files, "Reading annotations", len(files)):
        try:
            annotation = read_labelme(path)
        except AnnotationError as error:
            found.failures.append(failure_of(path, error))
            continue
        if annotation is None:
            found.not_labelme.append(path)
            continue
        found.annotated.append(path)
        for shape in annotation.shapes:
            found.labels[shape.label] += 1
            found.first_seen.setdefault(shape.label, path)
    if not found.annotated:
        if found.failures:
            raise nothing_converted(found.failures)
        what = f"{len(files)} JSON files, but none is labelme's" if files else "no labelme annotation (*.json) in it"
        raise DataError(f"{source}: {what}. Give the folder in which labelme saved its JSON files.")
    return found


def _annotation_files(source: Path, dataset: VocFolder) -> list[Path]:
    """Every candidate below `source`, sorted by path; what `seg` itself wrote there is not looked at."""
    if not source.exists():
        raise DataError(f"{source}: there is no such folder.")
    if not source.is_dir():
        raise DataError(f"{source}: is a file. Give the folder in which labelme saved its JSON files.")
    own = {dataset.report_file.resolve(), dataset.split_record.resolve()}
    found = [path for path in files_below(source) if is_annotation_file(path) and path.resolve() not in own]
    return sorted(found, key=lambda path: path.relative_to(source).parts)


def class_map(found: Scan, labels: Path | None, existing: VocFolder | None) -> ClassMap:
    """The classes by a list, or derived from the labels in use; those of an existing dataset keep their ids.

    Raises DataError naming every label that a list does not have, with its count and the closest listed one.
    """
    known = existing.class_map() if existing is not None else None
    if existing is not None and known is not None and known.background != 0:
        raise DataError(
            f"{existing.names_file}: class 0 is '{known.names[0]}', not {BACKGROUND_LABEL}; what is "
            "annotated with labelme has background and cannot be added. Use --out for a dataset of its own."
        )
    if labels is None:
        if known is None:
            return ClassMap.derive(found.labels)
        derived = ClassMap.derive(found.labels).names
        return ClassMap((*known.names, *(name for name in derived if name not in known.names)))
    listed = ClassMap.from_labels(labels)
    if known is not None and listed.names[: len(known)] != known.names:
        raise DataError(
            f"{labels}: does not begin with the dataset's classes ({', '.join(known.names)}). Use --overwrite."
        )
    unknown = sorted(label for label in found.labels if listed.id_of(label) is None)
    if unknown:
        lines = [
            f"'{label}' ({found.labels[label]} shape{'s' if found.labels[label] > 1 else ''}, first in {found.first_seen[label]}).{listed.closest(label)}"
            for label in unknown
        ]
        raise DataError(
            f"{labels}: does not list {len(unknown)} of the labels used: " + " ".join(lines) + " Add or rename them."
        )
    return listed


def output_stems(annotated: Sequence[Path], source: Path, recorded: dict[str, str]) -> dict[Path, str]:
    """A file name for each annotation: its own, or its path joined by `__` where two share one name.

    recorded   stems by annotation, relative to `source`, that a dataset uses already; they stay as they are
    Names are compared without case, because Windows and macOS do not tell `A.png` from `a.png`.
    """
    relative = {path: path.relative_to(source) for path in annotated}
    stems = {path: recorded[name] for path in annotated if (name := relative[path].as_posix()) in recorded}
    taken = {stem.casefold() for stem in recorded.values()}
    new = [path for path in annotated if path not in stems]
    plain = {path: _safe(path.name[: -len(".json")]) for path in new}
    uses = Counter([stem.casefold() for stem in plain.values()] + list(taken))
    taken |= {stem for stem, count in uses.items() if count == 1}
    for path in new:
        stem = plain[path]
        if uses[stem.casefold()] > 1:
            base = stem = _safe("__".join((*relative[path].parts[:-1], stem)))
            number = 1
            while stem.casefold() in taken:
                number += 1
                stem = f"{base}__{number}"
            taken.add(stem.casefold())
        stems[path] = stem
    return {path: stems[path] for path in annotated}


def _safe(stem: str) -> str:
    """A stem that survives a list file of one stem a line and every file system."""
    cleaned = _UNSAFE.sub("_", stem).strip().lstrip(".").rstrip(". ") or "unnamed"
    if cleaned.partition(".")[0].casefold() in _RESERVED:
        cleaned = f"{cleaned}_"
    if len(cleaned.encode("utf-8")) > _LONGEST_STEM:
        mark = hashlib.sha256(stem.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        cleaned = cleaned.encode("utf-8")[: _LONGEST_STEM - 14].decode("utf-8", "ignore") + f"__{mark}"
    return cleaned


def failure_of(path: Path, error: DataError) -> Finding:
    """The error of one file as an entry of a report."""
    text = str(error)
    place = str(path)
    return Finding(place, text[len(place) + 2 :] if text.startswith(f"{place}: ") else text)


def nothing_converted(failures: Sequence[Finding]) -> DataError:
    """The error when not one annotation could be converted: the first reason, and how many more there are."""
    more = len(failures) - 1
    return DataError(f"{failures[0]}" + (f" ({more} more like it)" if more else ""))
