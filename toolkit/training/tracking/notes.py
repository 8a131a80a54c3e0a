"""tracking.json: under which ids a training goes on in its services when it is resumed."""

import json
import threading
from pathlib import Path
from typing import Any

from toolkit.files import write_text
from toolkit.runs.folder import RunFolder
from toolkit.training.tracking.services import LIBRARIES

_NOTING = threading.Lock()


def read_note(run: RunFolder, name: str) -> dict[str, Any]:
    """What a service noted of this run; {} if that is nothing or the file is damaged."""
    try:
        notes = json.loads(_file(run).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found = notes.get(name, {}) if isinstance(notes, dict) else {}
    return found if isinstance(found, dict) else {}


def write_note(run: RunFolder, name: str, entry: dict[str, Any]) -> None:
    """Put this in the place of what the service had noted; the notes of the others stay. Safe among threads."""
    with _NOTING:
        entries = {other: read_note(run, other) for other in LIBRARIES if other != name}
        entries[name] = entry
        kept = {other: value for other, value in entries.items() if value}
        write_text(_file(run), json.dumps(kept, indent=2, sort_keys=True) + "\n")


def _file(run: RunFolder) -> Path:
    return run.root / "tracking.json"
