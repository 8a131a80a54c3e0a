"""Which folders are predictions."""

import json
from pathlib import Path

from toolkit.errors import DataError
from toolkit.files import read_file
from toolkit.runs.folder import RUNS

MANIFEST = "manifest.json"
ANNOTATIONS = "labelme"
"""The subfolder of a prediction in which its annotations lie."""
_LARGEST_MANIFEST = 1 << 30


def newest_prediction() -> Path:
    """The `runs/predict-N` with the highest N that holds annotations. Raises DataError if there is none."""
    numbered = [(int(number), path) for path in RUNS.glob("predict-*") if (number := path.name[8:]).isdecimal()]
    for _, path in sorted(numbered, reverse=True):
        if (path / ANNOTATIONS).is_dir():
            return path
    raise DataError(
        f"no prediction with annotations in {RUNS}. Make one with: seg predict PICTURES --save labelme; or name a folder."
    )


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
