"""Writing files so that a kill, a full disk or an exception never leaves half of one under its final name."""

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from toolkit.errors import SegError, UsageError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_HELD: set[int] = set()
"""Descriptors of the locks that this process holds."""


@contextlib.contextmanager
def writing(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """Open a file beside `path` for writing and rename it to `path` when the block ends without an error.

    With `durable` the bytes and the rename are on the disk before this returns (for what cannot be made again).
    Raises SegError with the file's name if the disk is full or the folder cannot be written.
    """
    # short: the final name may be as long as allowed; text, because making a Path takes as long as opening a file
    partial = os.path.join(os.path.dirname(path), f".{os.urandom(8).hex()}.partial")
    renamed = False
    try:
        with _new_file(partial) as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)
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
                os.unlink(partial)


def keep_as(path: Path, name: Path) -> None:
    """Have the file also under another name, which may exist, in one step; without copying it where links are possible."""
    partial = name.with_name(f".{os.urandom(8).hex()}.partial")
    try:
        try:
            os.link(path, partial)
        except OSError:
            shutil.copyfile(path, partial)
        os.replace(partial, name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)  # renaming does nothing if both names are of one file already
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise SegError(
            f"{name}: cannot be written: {error.strerror or error}. Free space or choose another folder."
        ) from error


@contextlib.contextmanager
def held(path: Path, message: str, *, passing: bool = False) -> Iterator[None]:
    """Hold a lock file while the block runs. Raises SegError with `message` if another process holds it.

    passing   the file is there for nothing else, and goes with the block

    The system lets go of it when a process ends, however that comes about; processes forked from it do not hold it.
    """
    if fcntl is None and passing:  # nothing is locked there, see below
        yield
        return
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise SegError(
            f"{path}: cannot be written: {error.strerror or error}. Free space or choose another folder."
        ) from error
    if fcntl is None:  # nothing is locked there, and a file that is open could be neither replaced nor removed
        os.close(descriptor)
        yield
        return
    _HELD.add(descriptor)
    got_it = False
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SegError(message) from None
        except OSError:
            pass  # a file system without locks
        if passing and not _is_open_as(path, descriptor):  # who held it has just removed it, the next one has another
            raise SegError(message)
        got_it = True
        yield
    finally:
        if descriptor in _HELD:  # not so in a forked process that comes by here
            _HELD.remove(descriptor)
            if passing and got_it:
                with contextlib.suppress(OSError):
                    os.unlink(path)
            os.close(descriptor)


def _is_open_as(path: Path, descriptor: int) -> bool:
    """Whether the open file still has that name."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


def _let_go() -> None:
    while _HELD:
        os.close(_HELD.pop())


if hasattr(os, "register_at_fork"):  # a loader process may outlive the run that was killed
    os.register_at_fork(after_in_child=_let_go)


def remove_partial_files(folder: Path) -> None:
    """Delete what a process that was killed while `writing` in this folder left there; nobody else may write now."""
    for path in folder.glob(".*.partial"):
        path.unlink(missing_ok=True)


def _new_file(path: str) -> BinaryIO:
    try:
        return open(path, "xb")
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return open(path, "xb")


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write bytes atomically, see `writing`."""
    with writing(path, durable=durable) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 with line feeds, atomically, see `writing`.

    Bytes of file names that are no text, which Python keeps as lone surrogates, are written as escapes.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def kind_of(status: os.stat_result) -> str:
    """What a file that is none is, as a part of a message."""
    if stat.S_ISDIR(status.st_mode):
        return "is a folder, not a file"
    pipe, device = stat.S_ISFIFO(status.st_mode), stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
    return f"is no ordinary file but {'a pipe' if pipe else 'a device' if device else 'a socket'}"


def read_file(path: Path, largest: int, error: type[SegError]) -> bytes:
    """The bytes of an ordinary file of at most `largest` bytes, in as few system calls as possible.

    Raises `error`, naming the file, for a larger one, for one that cannot be read, and for what is none: a pipe would
    make wait, a device never end.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise error(f"{path}: {kind_of(status)}. A file is needed there.")
            if status.st_size > largest:
                sizes = f"{status.st_size / (1 << 30):.1f} GiB, at most {largest / (1 << 30):.0f} are read"
                raise error(f"{path}: has {sizes}.")
            with open(descriptor, "rb", buffering=0, closefd=False) as file:
                return file.read()
        finally:
            os.close(descriptor)
    except OSError as reason:
        raise error(f"{path}: cannot be read: {reason.strerror or reason}.") from None


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
    make_folder(path)
    return path


def make_folder(path: Path) -> None:
    """Create a folder and those above it, where they are not there. Raises SegError if that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SegError(
            f"{path}: cannot be created: {error.strerror or error}. Choose another folder: --out."
        ) from error


_RUN_FOLDER = re.compile(r"(train|predict|preview)-[0-9]+")


def files_below(root: Path, suffixes: tuple[str, ...] = ("",)) -> Iterator[Path]:
    """Every file below a folder, sorted, without hidden folders and without what `seg` itself made in `runs/`.

    suffixes    ends of names, in lower case
    Links to folders are not followed, so a loop of them ends nowhere.
    """
    for parent, folders, names in os.walk(root):
        in_runs = Path(parent).name == "runs"
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not (in_runs and _RUN_FOLDER.fullmatch(f)))
        for name in sorted(names):
            if name.lower().endswith(suffixes):
                yield Path(parent, name)


def folders_not_read(root: Path) -> Iterator[tuple[Path, str]]:
    """What `files_below` passes over without a word, and why: links to folders outside, folders without permission."""
    inside = Path(os.path.realpath(root))
    refused: list[OSError] = []
    for parent, folders, _ in os.walk(root, onerror=refused.append):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for path in (Path(parent, name) for name in folders):
            target = Path(os.path.realpath(path)) if path.is_symlink() else inside
            if not (target.is_relative_to(inside) or inside.is_relative_to(target)):
                yield path, "is a link to a folder; what is behind it was not read."
    for error in refused:
        yield Path(error.filename), f"cannot be read ({error.strerror}); what is in it was left out."


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there; NTFS journals the rename
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
