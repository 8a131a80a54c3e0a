"""The folder that results go to."""

import contextlib
import os
import re
from pathlib import Path

from toolkit.errors import SegError, UsageError
from toolkit.prediction.folder.journal import journals_in
from toolkit.prediction.folder.manifest import NAME, read_manifest

_PARTIAL = re.compile(r"\.[0-9a-f]{16}\.partial")


def share_folder(root: Path) -> None:
    """Make the folder of several shards, or use it if it is theirs."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        strangers = read_manifest(root) is None and any(not path.name.startswith(".") for path in root.iterdir())
    except OSError as error:
        raise SegError(f"{root}: cannot be used: {error.strerror or error}.") from error
    # looked for once more: another shard may have written it in between
    if strangers and read_manifest(root) is None:
        raise UsageError(f"{root}: exists and is not an empty folder. Choose another one or remove it.")


def remove_partial_files(root: Path) -> None:
    """What a killed process was writing; nobody else writes there now."""
    for folder, _, names in os.walk(root):
        for name in names:
            if _PARTIAL.match(name):
                Path(folder, name).unlink(missing_ok=True)


def take_back(root: Path) -> None:
    """Take back a folder that this call made and in which nothing was predicted."""
    with contextlib.suppress(OSError):
        for path in (*journals_in(root), root / NAME):
            path.unlink(missing_ok=True)
        for folder, _, _ in os.walk(root, topdown=False):
            Path(folder).rmdir()
