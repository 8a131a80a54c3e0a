"""Writing a dataset where there may be one: the old one goes only when the new one is complete."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import DataError, SegError
from toolkit.files import held, make_folder
from toolkit.voc.folder import VocFolder

_LOCK = ".converting"


@contextmanager
def alone(dataset: VocFolder) -> Iterator[None]:
    """Run the block while no other conversion writes into the dataset; folders that stay empty go again.

    The lock lies in the dataset's own folder, which stays when everything in it is replaced. Raises SegError if
    another conversion is at work there, or if nothing can be written there.
    """
    root = dataset.root
    standing = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    make_folder(root)
    try:
        with held(root / _LOCK, f"another seg convert is writing {root}. Wait for it or stop it.", passing=True):
            yield
    finally:
        _remove_empty(root, standing)


@contextmanager
def replacing(dataset: VocFolder, *, aside: bool) -> Iterator[None]:
    """Run the block that writes the dataset.

    With `aside`, what is there is put into `.replaced` first, deleted after the block, and put back if the block
    fails. Without, a block that finds nothing to write (DataError) leaves a dataset as it was. Being interrupted, or
    a full disk, keeps what was written: `update` finishes it. Raises SegError if what is there cannot be put aside.
    """
    root = dataset.root
    was_empty, was_unfinished = dataset.is_empty(), dataset.unfinished.exists()
    old = set_aside(dataset).root
    if aside:
        shutil.rmtree(old, ignore_errors=True)
        try:
            _move(_parts(dataset), root, old)
        except OSError as error:
            _move([old / part.name for part in _parts(dataset)], old, root)
            _remove_empty(old, root)
            raise SegError(
                f"{root}: what is there cannot be replaced: {error.strerror or error}. Choose another folder: --out."
            ) from error
    try:
        yield
    except Exception as error:
        nothing_written = isinstance(error, DataError)
        if aside:
            _delete(_parts(dataset))
            _move([old / part.name for part in _parts(dataset)], old, root)
        elif nothing_written and was_empty:
            _delete(_parts(dataset))
        elif nothing_written and not was_unfinished:
            dataset.unfinished.unlink(missing_ok=True)
        _remove_empty(old, root)
        raise
    shutil.rmtree(old, ignore_errors=True)


def set_aside(dataset: VocFolder) -> VocFolder:
    """Where the dataset is put that is being replaced; it stays there if the conversion is killed."""
    return VocFolder(dataset.root / ".replaced")


def _parts(dataset: VocFolder) -> list[Path]:
    """What seg writes, and nothing else that may lie in the folder."""
    folders = [dataset.images, dataset.masks, dataset.objects, dataset.root / "ImageSets"]
    files = [dataset.names_file, dataset.sources_file, dataset.records_file, dataset.counts_file, dataset.report_file]
    return [*folders, *files, dataset.unfinished]


def _move(parts: list[Path], source: Path, target: Path) -> None:
    for part in parts:
        if part.exists():
            (target / part.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            part.rename(target / part.relative_to(source))


def _delete(parts: list[Path]) -> None:
    for part in parts:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _remove_empty(folder: Path, standing: Path) -> None:
    """Remove empty folders upwards from `folder`, up to the one that stood before."""
    for candidate in (folder, *folder.absolute().parents):
        if candidate.absolute() == standing.absolute():
            return
        try:
            candidate.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return
