"""What labelme is opened on, so that what a model predicted can be corrected where it lies.

labelme is told a folder of pictures and finds the annotation of `sub/x.jpg` as `sub/x.json` beside it. With `--output`
it looks in another folder, but up to 7.8 by the picture's name alone, whatever its subfolder, and then opens and
saves one picture's shapes with another. So predictions, whose pictures lie elsewhere and in trees, get a link to each
picture beside its annotation: every labelme since 5 opens those. What it saves by itself, though, without being asked
to, goes up to 7.8 to `x.json` beside the picture that the annotation names, where no prediction is looked for and where
a person's own annotation may lie: it has to be asked, then.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from toolkit.annotating.predictions import (
    annotations_of,
    newest_prediction,
    prediction_of,
    runs_with_classes,
)
from toolkit.errors import AnnotationError, DataError, UsageError
from toolkit.files import files_below
from toolkit.labels.annotation import clean_label
from toolkit.labels.classmap import BACKGROUND_LABEL, IGNORE_LABEL, ClassMap
from toolkit.labels.labellist import read_label_list
from toolkit.labels.labelme import is_annotation_file, read_labelme
from toolkit.runs.manifest import MANIFEST, read_manifest
from toolkit.voc.layout import DEFAULT_ROOT, IMAGE_SUFFIXES


@dataclass(frozen=True)
class Session:
    """What labelme is started on.

    path          a folder of pictures, or one picture or annotation
    output        the folder of the annotations where it is another one
    labels        what labelme offers, None: whatever is in use; `labels_from` says where they come from
    annotations   files that are there already
    links         pictures to be linked beside their annotations: (link, picture)
    lost          annotations without a picture of their name beside them, which labelme will not show
    full_names    annotations named after their picture with its suffix, `x.png.json`, which not every labelme finds
    ask_to_save   annotations name pictures that lie elsewhere: labelme is not to save by itself
    gone          predictions newer than the one that is opened, whose pictures are not where they were
    """

    path: Path
    output: Path | None = None
    labels: tuple[str, ...] | None = None
    labels_from: Path | None = None
    annotations: tuple[Path, ...] = ()
    links: tuple[tuple[Path, Path], ...] = ()
    lost: tuple[Path, ...] = ()
    full_names: tuple[Path, ...] = ()
    ask_to_save: bool = False
    gone: tuple[Path, ...] = ()

    @property
    def folder(self) -> Path:
        """Where labelme will save."""
        return self.output or (self.path.parent if self.path.is_file() else self.path)

    @cached_property
    def astray(self) -> frozenset[Path]:
        """Where labelme saves if it is set to save by itself: beside pictures elsewhere. To be asked for after linking."""
        if not self.ask_to_save:
            return frozenset()
        pictures = [self.path] if self.path.is_file() else files_below(self.path, IMAGE_SUFFIXES)
        links = {path.with_suffix(""): path for path in pictures if path.is_symlink()}
        behind = [Path(os.path.realpath(link)) for link in links.values()]
        # reading annotations takes longer than following links; copies, hard links and a single annotation need it
        unlinked = (path for path in _expected(self) if path.with_suffix("") not in links)
        named = [picture for path in unlinked if (picture := _picture_of(path)) is not None]
        return frozenset(picture.with_suffix(".json") for picture in (*behind, *named)) - {
            Path(os.path.realpath(path)) for path in self.annotations
        }


def plan(where: Path | None, labels: Path | None = None) -> Session:
    """What to open for a folder of pictures or annotations, one file, or a prediction; None: the newest prediction.

    Nothing is written. Raises DataError if there is nothing to open, UsageError if labelme could not open it.
    """
    if where is None:
        root, gone = newest_prediction()
        return replace(plan(root, labels), gone=gone)
    root = where
    if root.name == MANIFEST and root.is_file() and read_manifest(root.parent) is not None:
        root = root.parent
    if root.is_file():
        is_annotation = is_annotation_file(root) and read_labelme(root, images=False) is not None
        if not (is_annotation or root.suffix.lower() in IMAGE_SUFFIXES):
            raise UsageError(f"{root}: neither a picture nor an annotation.")
        prediction = prediction_of(root.parent)
        picture = _picture_of(root) if is_annotation else None
        apart_from_it = picture is not None and picture.with_suffix("") != root.resolve().with_suffix("")
        return Session(
            root,
            None,
            *_labels(root.parent, prediction, labels),
            annotations=(root,) if is_annotation else (),
            ask_to_save=prediction is not None or apart_from_it,
        )
    if not root.is_dir():
        raise DataError(f"{root}: there is no such file or folder.")
    prediction = prediction_of(root)
    if prediction == root:
        root = annotations_of(root)
    names, origin = _labels(root, prediction, labels)
    prediction = prediction_of(root)  # None where they lie next to the user's own pictures
    annotations = tuple(path for path in files_below(root, (".json",)) if is_annotation_file(path))
    pictures = list(files_below(root, IMAGE_SUFFIXES))
    if not annotations and not pictures:
        raise DataError(f"{root}: no picture and no annotation in it.")
    stems, whole = {path.with_suffix("") for path in pictures}, set(pictures)
    unmatched = [path for path in annotations if path.with_suffix("") not in stems]
    full_names = tuple(path for path in unmatched if path.with_suffix("") in whole)
    apart = [path for path in unmatched if path.with_suffix("") not in whole]
    recorded = {path: picture for path in apart if (picture := _picture_of(path)) is not None}
    if not recorded and not pictures:
        raise DataError(f"{root}: none of the pictures of its {len(annotations)} annotations is where they say.")
    if prediction is None and recorded and len(apart) == len(annotations):
        return Session(_one_folder(root, annotations, recorded), root, names, origin, annotations)
    if prediction is None:  # nothing is added to a folder of the user's own
        return Session(root, None, names, origin, annotations, lost=tuple(apart), full_names=full_names)
    links = [(path.with_name(f"{path.stem}{picture.suffix}"), picture) for path, picture in recorded.items()]
    lost = tuple(path for path in apart if path not in recorded)
    return Session(root, None, names, origin, annotations, tuple(links), lost, full_names, ask_to_save=True)


def link_pictures(links: Iterable[tuple[Path, Path]]) -> int:
    """Link each picture beside its annotation, unless something of that name is there; how many were made.

    Raises DataError where the file system has no links.
    """
    made = 0
    for link, picture in links:
        if os.path.lexists(link):
            continue
        try:
            target = os.path.relpath(picture, link.parent.resolve())
        except ValueError:  # on another Windows drive
            target = str(picture)
        try:
            try:
                link.symlink_to(target)
            except (OSError, NotImplementedError):  # Windows allows it to few
                os.link(picture, link)
        except OSError as error:
            raise DataError(
                f"{link}: cannot be made a link to {picture}: {error.strerror or error}. Copy the pictures there."
            ) from error
        made += 1
    return made


def states(session: Session) -> dict[Path, tuple[int, int]]:
    """Time and size of each file that labelme may save as it is meant to, by which a changed one is told."""
    return _states(_expected(session) if session.path.is_file() else files_below(session.folder, (".json",)))


def states_astray(session: Session) -> dict[Path, tuple[int, int]]:
    """The same of those beside pictures elsewhere, where labelme saves if it is set to save by itself."""
    return _states(session.astray)


def changed_since(session: Session, before: dict[Path, tuple[int, int]]) -> list[Path]:
    """The annotations that are not as they were in `before`, of `states`. JSON of other programs does not count."""
    now = states(session)
    return [path for path, state in now.items() if before.get(path) != state and _is_annotation(path)]


def _expected(session: Session) -> tuple[Path, ...]:
    """The annotations that are there, and those that a single picture may get."""
    if not session.path.is_file() or session.annotations:
        return session.annotations
    return session.path.with_suffix(".json"), session.path.with_name(f"{session.path.name}.json")


def _is_annotation(path: Path) -> bool:
    try:
        return is_annotation_file(path) and read_labelme(path, images=False) is not None
    except AnnotationError:
        return False


def _states(paths: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    found = {}
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found[path] = (status.st_mtime_ns, status.st_size)
    return found


def _picture_of(annotation: Path) -> Path | None:
    """The picture that an annotation names, if it is there and looks like one."""
    try:
        read = read_labelme(annotation, images=False)
    except AnnotationError:
        return None
    if read is None or not read.recorded:
        return None
    try:
        picture = Path(os.path.realpath(annotation.parent / read.recorded.replace("\\", "/")))
        there = picture.is_file()
    except (OSError, ValueError):
        return None
    return picture if there and picture.suffix.lower() in IMAGE_SUFFIXES else None


def _one_folder(root: Path, annotations: Sequence[Path], recorded: dict[Path, Path]) -> Path:
    """The folder in which all pictures lie, if labelme can find all annotations from there by name alone."""
    folders = {picture.parent for picture in recorded.values()}
    folder = next(iter(folders))
    flat = all(path.parent == root for path in annotations) and len(recorded) == len(annotations)
    same = all(path.stem == picture.stem for path, picture in recorded.items())
    if len(folders) == 1 and flat and same:
        stems = Counter(path.stem for path in files_below(folder, IMAGE_SUFFIXES))
        if all(stems[path.stem] == 1 for path in annotations):
            return folder
    example, picture = next(iter(recorded.items()))
    raise UsageError(
        f"{root}: its pictures lie in other folders ({example.name}: {picture}), and labelme would mix up their "
        "annotations. Put each annotation beside its picture, or open one: seg annotate FILE.json"
    )


def _labels(folder: Path, prediction: Path | None, given: Path | None) -> tuple[tuple[str, ...] | None, Path | None]:
    """What labelme should offer, and whose list that is.

    Given; else of the prediction, the folder, the default dataset, or the newest run that knows its classes.
    """
    if given is not None:
        return _offered(read_label_list(given).classes.names), given
    manifest = read_manifest(prediction) if prediction is not None else None
    if prediction is not None and manifest is not None and (names := _names(manifest.get("classes"))):
        return _offered(names), prediction / MANIFEST
    for path in (folder / "class_names.txt", folder / "labels.txt", DEFAULT_ROOT / "class_names.txt"):
        if path.is_file():
            read = ClassMap.from_labels if path.name == "labels.txt" else ClassMap.read
            return _offered(read(path).names), path
    for path, classes in runs_with_classes():
        if names := _names(classes):
            return _offered(names), path
    return None, None


def _names(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return ()
    if any(
        "\ud800" <= sign <= "\udfff" for value in values for sign in value
    ):  # JSON can hold them, no command line can
        return ()
    return tuple(dict.fromkeys(name for value in values if (name := clean_label(value))))


def _offered(names: Sequence[str]) -> tuple[str, ...]:
    """The two labels with a meaning of their own come first, whether or not the list has them."""
    return (IGNORE_LABEL, BACKGROUND_LABEL, *(n for n in names if n not in (IGNORE_LABEL, BACKGROUND_LABEL)))
