"""manifest.json: what a run, a training or a prediction, says of itself."""

import json
from pathlib import Path
from typing import Any

from toolkit.errors import DataError
from toolkit.files import read_file

MANIFEST = "manifest.json"
_LARGEST = 1 << 30


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What the file says; None if there is none or it is none of ours."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        values = json.loads(read_file(path, _LARGEST, DataError))
    except (DataError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) and "seg" in values else None
