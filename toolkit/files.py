"""Writing files so that a kill, a full disk or an exception never leaves half of one under its final name."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from toolkit.errors import SegError, UsageError


@contextlib.contextmanager
def writing(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """Open a file beside `path` for writing and rename it to `path` when the block ends without an error.

    With `durable` the bytes and the rename are on the disk before this returns (for what cannot be made again).
    Raises SegError with the file's name if the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")  # short: the final name may be as long as allowed
    renamed = False
    try:
        with _new_file(partial) as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
        renamed = True
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        raise SegError(
            f"{path}: cannot be written: {error.strerror or error}. Free space or choose another folder."
        ) from error
    finally:
        if not renamed:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def _new_file(path: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write bytes atomically, see `writing`."""
    with writing(path, durable=durable) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 with line feeds, atomically, see `writing`.

    Bytes of file names that are no text, which Python keeps as lone surrogates, are written as escapes.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def numbered_folder(parent: Path, name: str) -> Path:
    """Create and return the first free one of `parent/name-1`, `parent/name-2`, ...

    Two processes asking at once get two folders. Raises SegError if `parent` cannot be written.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        taken = [int(p.name[len(name) + 1 :]) for p in parent.glob(f"{name}-*") if p.name[len(name) + 1 :].isdecimal()]
        number = max(taken, default=0) + 1
        while True:
            folder = parent / f"{name}-{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as error:
        raise SegError(f"{parent}: cannot create a folder there: {error.strerror or error}.") from error


def new_folder(path: Path) -> Path:
    """Create the folder the user asked for; it may exist if it is empty. Raises UsageError otherwise."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path}: exists and is not an empty folder. Choose another one or remove it.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SegError(f"{path}: cannot be created: {error.strerror or error}.") from error
    return path


_RUN_FOLDER = re.compile(r"(train|predict)-[0-9]+")


def files_below(root: Path) -> Iterator[Path]:
    """Every file below a folder, sorted, without hidden folders and without what `seg` itself made in `runs/`.

    Links to folders are not followed, so a loop of them ends nowhere.
    """
    for parent, folders, names in os.walk(root):
        in_runs = Path(parent).name == "runs"
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not (in_runs and _RUN_FOLDER.fullmatch(f)))
        for name in sorted(names):
            yield Path(parent, name)


def linked_folders(root: Path) -> Iterator[Path]:
    """The links to folders below a folder, which `files_below` does not follow, unless they lead back into it."""
    inside = Path(os.path.realpath(root))
    for parent, folders, _ in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for path in (Path(parent, name) for name in folders):
            target = Path(os.path.realpath(path)) if path.is_symlink() else inside
            if not (target.is_relative_to(inside) or inside.is_relative_to(target)):
                yield path


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there; NTFS journals the rename
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
