"""Files that belong together appear together, or not at all."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from toolkit.errors import SegError


@contextlib.contextmanager
def placing(path: Path) -> Iterator[Path]:
    """A new folder beside `path`: what the block writes there is moved beside `path` when it ends without an error.

    A file called like `path` is moved last: where it is, its companions are. Files of these names are replaced.
    Raises SegError naming the file if the disk is full or the folder cannot be written.
    """
    folder = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".", suffix=".partial", dir=path.parent))
        yield folder
        for file in sorted(folder.iterdir(), key=lambda file: (file.name == path.name, file.name)):
            file.replace(path.with_name(file.name))
    except OSError as error:
        raise SegError(
            f"{path}: cannot be written: {error.strerror or error}. Free space or choose another folder."
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
