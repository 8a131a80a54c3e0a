"""What a labelme folder or a dataset holds: images, shapes, pixels, sizes."""

from pathlib import Path

from toolkit.errors import DatasetError, UsageError
from toolkit.progress import SILENT, Progress
from toolkit.tally.annotations import tally_labelme
from toolkit.tally.dataset import tally_dataset
from toolkit.tally.figures import Statistics
from toolkit.voc.folder import VocFolder


def statistics(
    path: Path | str | None = None,
    *,
    labels: Path | str | None = None,
    workers: int | None = 0,
    progress: Progress = SILENT,
) -> Statistics:
    """Count what is in a dataset, or in a folder of labelme annotations, whichever `path` is.

    path       None: the default dataset
    labels     for annotations: a list of labels, which gives order and other names; labels that it does not have
               come after the listed ones
    workers    processes; 0: this one; None: more if they save more than they cost

    A file that cannot be read is left out and named in `failures`. Raises DataError if there is nothing to count,
    UsageError for `labels` with a dataset.
    """
    folder = Path(path) if path is not None else None
    if folder is not None and folder.is_dir() and not _holds_dataset(folder):
        return tally_labelme(folder, Path(labels) if labels is not None else None, workers, progress)
    if folder is not None and folder.is_file():
        raise DatasetError(f"{folder}: is a file. Give a dataset, or a folder in which labelme saved its JSON files.")
    dataset = VocFolder.find(folder)
    if labels is not None:
        raise UsageError(f"labels: {dataset.root} is a dataset, its classes are in {dataset.names_file.name}.")
    return tally_dataset(dataset, workers, progress)


def _holds_dataset(path: Path) -> bool:
    """Whether `VocFolder.find` sees one there, be it unfinished or one of several."""
    return any(VocFolder(p).exists() for p in (path, *path.glob("VOC2*"), *path.glob("VOCdevkit/VOC2*")))
