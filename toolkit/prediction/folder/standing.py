"""What the journals of a run say: how far it is, all in one order, and added up."""

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from toolkit.files import held, writing
from toolkit.findings import Finding
from toolkit.prediction.folder.journal import MERGED, Line, journals_in, read_lines

IN_PART = "in-part"
"""Code of the failure of a film that was predicted as far as it goes."""

_LAST = 1 << 62  # a film's own line comes after those of its frames


def all_tried(root: Path, names: Sequence[str]) -> bool:
    """Whether the journals say of each of these sources that it is predicted or has failed; files are not looked at."""
    left = set(names)
    for path in journals_in(root):
        for _, line in read_lines(path):
            if line.frame is None:
                left.discard(line.name)
    return not left


def standing(root: Path, names: Sequence[str]) -> bytearray:
    """For each of these sources 1 if the journals say that it is predicted, and its files are there."""
    index = {name: i for i, name in enumerate(names)}
    ended, lacking = (bytearray(len(names)) for _ in range(2))
    for path in journals_in(root):
        for _, line in read_lines(path):
            i = index.get(line.belongs_to)
            if i is None:
                continue
            if line.frame is None:
                ended[i] |= line.failure is None
            if not _has_files(root, line):
                lacking[i] = 1
    return bytearray(whole and not incomplete for whole, incomplete in zip(ended, lacking, strict=True))


def _has_files(root: Path, line: Line) -> bool:
    places = [os.path.join(root, file) for file in line.files.values()]  # noqa: PTH118  (of each picture)
    next_to_it = line.kept if line.beside is None else (line.beside, *line.kept)
    return all(map(_is_there, (*places, *next_to_it)))


def _is_there(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0  # noqa: PTH116
    except (OSError, ValueError):
        return False


def merge(root: Path, names: Sequence[str]) -> None:
    """Bring all journals of a run into one, a line for each picture, in the order of these names.

    A later line wins over an earlier one; only a success whose files are all there wins over a later failure. Lines of
    pictures that are no longer named stay, at the end.
    """
    index = {name: i for i, name in enumerate(names)}
    best: dict[tuple[int, int], tuple[int, int]] = {}
    failed: set[tuple[int, int]] = set()
    outdone: dict[tuple[int, int], tuple[int, int]] = {}  # successes after which a failure came
    paths = journals_in(root)
    for number, path in enumerate(paths):
        for offset, line in read_lines(path):
            i = index.setdefault(line.belongs_to, len(index))
            key = (i, _LAST if line.frame is None else line.frame)
            if line.failure is None:
                failed.discard(key)
                outdone.pop(key, None)
            elif key not in failed:
                failed.add(key)
                if key in best:
                    outdone[key] = best[key]
            best[key] = (number, offset)
    if outdone:
        lost = _with_lost_files(root, paths, index, {i for i, _ in outdone})
        best |= {key: place for key, place in outdone.items() if key[0] not in lost}
    # the files are closed before the merged one, which is one of them, is replaced: Windows replaces none that is open
    with writing(root / MERGED) as merged, ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) if path.exists() else None for path in paths]
        for key in sorted(best):
            number, offset = best[key]
            file = files[number]
            if file is not None:
                file.seek(offset)
                merged.write(file.readline())


def _with_lost_files(root: Path, paths: Sequence[Path], index: dict[str, int], asked: set[int]) -> set[int]:
    """Those of the sources asked for that lack a file that a line names, of a film any frame's."""
    lines = (line for path in paths for _, line in read_lines(path))
    found = ((index.get(line.belongs_to, -1), line) for line in lines)
    return {i for i, line in found if i in asked and not _has_files(root, line)}


def gather(root: Path, names: Sequence[str], busy: str) -> None:
    """Bring all journals into the merged one and empty the others: what is added to it from now on is the newest.

    Raises SegError with `busy` if another process uses them.
    """
    others = [path for path in journals_in(root)[1:] if path.stat().st_size]
    if others:
        with held(others[0], busy):
            merge(root, names)
            for path in others:
                os.truncate(path, 0)


@dataclass(frozen=True)
class Summary:
    """All lines of a run, added up.

    images     pictures predicted
    frames     of films and cameras
    pixels     by class id
    kept       files that were there and stay as they are
    replaced   files that were there and had been made or looked at by a person
    renewed    how many predictions that nobody had looked at were replaced
    failures   what could not be read
    """

    images: int
    frames: int
    pixels: tuple[int, ...]
    kept: tuple[str, ...]
    replaced: tuple[str, ...]
    renewed: int
    failures: tuple[Finding, ...]


def summary(lines: Iterable[Line], classes: int) -> Summary:
    """Add lines up. Frames of a film that was damaged count as far as they go."""
    images = frames = renewed = 0
    pixels = [0] * classes
    kept: list[str] = []
    replaced: list[str] = []
    failures: list[Finding] = []
    for line in lines:
        if line.failure is not None:
            failures.append(Finding(line.source, line.failure, code=IN_PART if line.frames else ""))
        elif line.frame is not None:
            frames += 1
        elif line.frames is None and line.pixels:
            images += 1
        kept += line.kept
        replaced += [] if line.replaced is None else [line.replaced]
        renewed += line.renewed
        for k, count in enumerate(line.pixels[:classes]):
            pixels[k] += count
    return Summary(images, frames, tuple(pixels), tuple(kept), tuple(replaced), renewed, tuple(failures))
