"""The folder that results go to."""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from toolkit.errors import SegError, UsageError
from toolkit.prediction.folder.journal import MERGED, journals_in
from toolkit.runs.manifest import MANIFEST, read_manifest

_PARTIAL = re.compile(r"\.[0-9a-f]{16}\.partial")
_SURELY_LEFT = 600.0  # seconds; writing a labelme file takes a hundredth of one


def share_folder(root: Path, *, resume: bool) -> None:
    """Make the folder of several shards, or use it if it is theirs and their work is not done.

    Raises UsageError if it is another's, or was predicted into as a whole; with `resume` what is done may be gone on with.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        strangers = read_manifest(root) is None and any(not path.name.startswith(".") for path in root.iterdir())
        whole = (root / MERGED).exists()
    except OSError as error:
        raise SegError(f"{root}: cannot be used: {error.strerror or error}.") from error
    # looked for once more: another shard may have written it in between
    values = read_manifest(root)
    if strangers and values is None:
        raise UsageError(f"{root}: exists and is not an empty folder. Choose another one or remove it.")
    if values is None:
        return
    finished, divided = values.get("finished") is not False, bool(values.get("shards"))
    if not resume and (finished or whole or not divided):
        raise UsageError(
            f"{root}: {'is finished' if finished else 'was begun'} already; nothing there is overwritten. Choose another "
            f"--out{', or go on: --continue' if finished or divided else ', or go on without --shard: --continue'}."
        )
    if resume and not finished and not divided:
        raise UsageError(f"{root}: was begun by one call, not in shards. Go on with --continue and without --shard.")


def remove_partial_files_below(root: Path, *, in_root: bool = True) -> None:
    """What a killed process was writing anywhere in the tree; nobody else writes there now.

    in_root   also what lies in the folder itself, not in those of the outputs
    """
    for folder, _, names in os.walk(root):
        for name in names if in_root or folder != str(root) else ():
            if _PARTIAL.match(name):
                Path(folder, name).unlink(missing_ok=True)


def remove_old_partial_files(folders: Iterable[str]) -> None:
    """The same in folders of the user's, where another call may be writing: only what is minutes old, not below."""
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder or os.curdir) as entries:
            for entry in entries:
                if _PARTIAL.match(entry.name) and time.time() - entry.stat().st_mtime > _SURELY_LEFT:
                    os.unlink(entry.path)  # noqa: PTH108


def take_back(root: Path, kinds: Iterable[str] = (), *, was_there: bool) -> None:
    """Take back a folder that this call made, or found empty, and in which nothing was finished.

    kinds       of output, of whose folders all goes: files of pictures that were in work
    was_there   it was found empty: it stays
    """
    for kind in kinds:
        shutil.rmtree(root / kind, ignore_errors=True)
    with contextlib.suppress(OSError):
        for path in (*journals_in(root), root / MANIFEST):
            path.unlink(missing_ok=True)
        for folder, _, _ in os.walk(root, topdown=False):
            if not (was_there and folder == os.fspath(root)):
                Path(folder).rmdir()
