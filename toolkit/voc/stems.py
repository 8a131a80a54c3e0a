"""What a line of somebody's list means."""

from collections.abc import Collection
from pathlib import PurePosixPath, PureWindowsPath


def stem_in(entry: str, stems: Collection[str]) -> str | None:
    """The stem that a line of a list means: itself, or what others write there (`dir/a.jpg dir/a.png`, `a 1`)."""
    if entry in stems:
        return entry
    words = entry.split()
    name = PurePosixPath(PureWindowsPath(words[0]).as_posix()).name if words else ""
    for candidate in (entry.strip(), name, name.rpartition(".")[0]):
        if candidate in stems:
            return candidate
    return None
