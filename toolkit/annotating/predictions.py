"""Which folders are predictions, where their annotations lie, and what runs know of labels."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from toolkit.errors import DataError
from toolkit.files import read_file
from toolkit.runs.folder import RUNS

MANIFEST = "manifest.json"
ANNOTATIONS = "labelme"
"""The subfolder of a prediction in which its annotations lie."""
_LARGEST_MANIFEST = 1 << 30
_NUMBERED = re.compile(r"(train|predict)-\d+")


def newest_prediction() -> Path:
    """The `runs/predict-N` with the highest N that wrote annotations. Raises DataError if there is none."""
    numbered = [(int(number), path) for path in RUNS.glob("predict-*") if (number := path.name[8:]).isdecimal()]
    for _, path in sorted(numbered, reverse=True):
        if (path / ANNOTATIONS).is_dir() or _next_to_pictures(path) is not None:
            return path
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
    found = [path / MANIFEST for path in RUNS.glob("*") if _NUMBERED.fullmatch(path.name)]
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


def read_manifest(folder: Path) -> dict[str, object] | None:
    """What a prediction says of itself; None if the folder is none."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        values = json.loads(read_file(path, _LARGEST_MANIFEST, DataError))
    except (DataError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) and "seg" in values else None


def _next_to_pictures(prediction: Path) -> Path | None:
    """The folder of the pictures next to which a prediction's annotations were written; None if they were not."""
    manifest = read_manifest(prediction) or {}
    options, root = manifest.get("options"), manifest.get("root")
    beside = isinstance(options, dict) and options.get("beside") is True
    return Path(root) if beside and isinstance(root, str) and root else None
