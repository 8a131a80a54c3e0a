"""Which folders are predictions, where their annotations lie, and what runs know of labels."""

import os
from collections.abc import Iterator
from pathlib import Path

from toolkit.errors import DataError
from toolkit.runs.folder import RUNS, RunFolder, numbered_runs
from toolkit.runs.manifest import MANIFEST, read_manifest

ANNOTATIONS = "labelme"
"""The subfolder of a prediction in which its annotations lie."""


def newest_prediction() -> tuple[Path, tuple[Path, ...]]:
    """The `runs/predict-N` with the highest N whose annotations are there, and those above it whose pictures are gone.

    Raises DataError if there is none.
    """
    gone: list[Path] = []
    for path in numbered_runs("predict"):
        if (path / ANNOTATIONS).is_dir() or _next_to_pictures(path) is not None:
            try:
                annotations_of(path)
            except DataError:
                gone.append(path)
            else:
                return path, tuple(gone)
    if gone:
        annotations_of(gone[0])  # says what is wrong with it
    raise DataError(
        f"no prediction with annotations in {RUNS}. Make one with: seg predict PICTURES --save labelme; or name a folder."
    )


def annotations_of(prediction: Path) -> Path:
    """The folder below which a prediction's annotations lie: its own, or that of the pictures (`--beside`).

    Raises DataError if it has none, or if they are not where it says.
    """
    own = prediction / ANNOTATIONS
    if own.is_dir():
        return own
    folder = _next_to_pictures(prediction)
    if folder is None and RunFolder(prediction).config.is_file():
        raise DataError(
            f"{prediction}: is a training run, which holds no annotations. Predict with it, then open those: "
            f"seg predict PICTURES --run {prediction} --save labelme; seg annotate"
        )
    if folder is None:
        raise DataError(f"{prediction}: holds no annotations. Predict once more with: --save labelme")
    # the pictures were moved, or come from all over the disk
    if not os.path.isdir(folder) or folder == folder.parent:  # noqa: PTH112  # Path.is_dir raises for names too long
        raise DataError(
            f"{prediction}: its annotations lie next to the pictures, not in one folder that is there ({folder}). "
            "Name the folder of the pictures: seg annotate FOLDER"
        )
    return folder


def runs_with_classes() -> Iterator[tuple[Path, object]]:
    """The manifest and the classes of each training run and prediction in `runs/`, the newest first."""
    found = [path / MANIFEST for kind in ("train", "predict") for path in numbered_runs(kind)]
    dated = [(path.stat().st_mtime_ns, path) for path in found if path.is_file()]
    for _, path in sorted(dated, reverse=True):
        manifest = read_manifest(path.parent)
        if manifest is not None:
            yield path, manifest.get("classes")


def prediction_of(folder: Path) -> Path | None:
    """The prediction whose folder, whose `labelme` folder or a folder in that this is."""
    at = folder.absolute()
    if read_manifest(folder) is not None:
        return folder
    for parent in at.parents:
        if (at == parent / ANNOTATIONS or parent / ANNOTATIONS in at.parents) and read_manifest(parent) is not None:
            return parent
    return None


def _next_to_pictures(prediction: Path) -> Path | None:
    """The folder of the pictures next to which a prediction's annotations were written; None if they were not."""
    manifest = read_manifest(prediction) or {}
    options, root = manifest.get("options"), manifest.get("root")
    beside = isinstance(options, dict) and options.get("beside") is True
    return Path(root) if beside and isinstance(root, str) and root else None
