"""What the journals of a run say: how far it is, all in one order, and added up."""

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from toolkit.files import writing
from toolkit.findings import Finding
from toolkit.prediction.folder.journal import MERGED, Line, journals_in, read_lines

_LAST = 1 << 62  # a film's own line comes after those of its frames


@dataclass(frozen=True)
class Standing:
    """How far a run has come.

    done    for each source 1 if it is predicted and its files are there
    tried   for each source 1 if it is done or has failed
    """

    done: bytearray
    tried: bytearray

    @property
    def is_complete(self) -> bool:
        return all(self.tried)


def standing(root: Path, names: Sequence[str]) -> Standing:
    """What the journals say of the sources with these names."""
    index = {name: i for i, name in enumerate(names)}
    ended, lacking, tried = (bytearray(len(names)) for _ in range(3))
    for path in journals_in(root):
        for _, line in read_lines(path):
            i = index.get(line.belongs_to)
            if i is None:
                continue
            if line.frame is None:
                tried[i] = 1
                ended[i] |= line.failure is None
            places = [os.path.join(root, file) for file in line.files.values()]  # noqa: PTH118  (of each picture)
            if not all(map(_is_there, places if line.beside is None else [*places, line.beside])):
                lacking[i] = 1
    done = bytearray(whole and not incomplete for whole, incomplete in zip(ended, lacking, strict=True))
    return Standing(done, tried)


def _is_there(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0  # noqa: PTH116
    except (OSError, ValueError):
        return False


def merge(root: Path, names: Sequence[str]) -> None:
    """Bring all journals of a run into one, a line for each picture, in the order of these names.

    A line that tells of success wins over one that tells of failure, a later one over an earlier. Lines of pictures
    that are no longer named stay, at the end.
    """
    index = {name: i for i, name in enumerate(names)}
    best: dict[tuple[int, int], tuple[bool, int, int]] = {}
    paths = journals_in(root)
    for number, path in enumerate(paths):
        for offset, line in read_lines(path):
            i = index.setdefault(line.belongs_to, len(index))
            key = (i, _LAST if line.frame is None else line.frame)
            found = (line.failure is None, number, offset)
            best[key] = max(found, best.get(key, found))
    with ExitStack() as stack, writing(root / MERGED) as merged:
        files = [stack.enter_context(path.open("rb")) if path.exists() else None for path in paths]
        for key in sorted(best):
            _, number, offset = best[key]
            file = files[number]
            if file is not None:
                file.seek(offset)
                merged.write(file.readline())


@dataclass(frozen=True)
class Summary:
    """All lines of a run, added up.

    images     pictures predicted
    frames     of films and cameras
    pixels     by class id
    kept       files that were there and stay as they are
    failures   what could not be read
    """

    images: int
    frames: int
    pixels: tuple[int, ...]
    kept: tuple[str, ...]
    failures: tuple[Finding, ...]


def summary(lines: Iterable[Line], classes: int) -> Summary:
    """Add lines up. Frames of a film that was damaged count as far as they go."""
    images = frames = 0
    pixels = [0] * classes
    kept: list[str] = []
    failures: list[Finding] = []
    for line in lines:
        if line.failure is not None:
            failures.append(Finding(line.source, line.failure))
        elif line.frame is not None:
            frames += 1
        elif line.frames is None and line.pixels:
            images += 1
        kept += line.kept
        for k, count in enumerate(line.pixels[:classes]):
            pixels[k] += count
    return Summary(images, frames, tuple(pixels), tuple(kept), tuple(failures))
