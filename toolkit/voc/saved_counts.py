"""The pixels of each mask by value, kept beside the masks in `mask_counts.jsonl`: what was counted is not read again.

A line tells of one state of its mask, known again by the file's size and modification time; where they differ, the
line is passed over, as is one that makes no sense. The file is a cache: nothing is lost with it.
"""

import heapq
import os
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from toolkit.errors import SegError
from toolkit.files import writing
from toolkit.voc.folder import VocFolder
from toolkit.voc.maskfile import MaskPixels
from toolkit.voc.pixels import LARGEST_PICTURE

Fingerprint = tuple[int, int]
"""Size in bytes and modification time in ns of a mask file."""

SETTLED = 2_000_000_000
"""Nanoseconds; a file younger than that may change once more without a new time. The coarsest clock of a file system in
use is that of FAT."""

_LONGEST_LINE = 1 << 14  # bytes; a name and 256 values have less
_CLOCK_TICK = 0.02  # seconds; file systems give all that is written in a tick the same time

_Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Value = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Amount = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_PICTURE)]


class CountedMask(msgspec.Struct, frozen=True):
    """One line: a mask, its fingerprint, and its pixels by value, 255 included; those that occur."""

    stem: str
    size: _Whole
    time: _Whole
    pixels: Annotated[dict[_Value, _Amount], msgspec.Meta(min_length=1)]


_DECODER = msgspec.json.Decoder(CountedMask)


def fingerprint(mask: Path | str) -> Fingerprint | None:
    """By what the state of a mask file is known again; None if it is not there."""
    try:
        status = os.stat(mask)  # noqa: PTH116  (making a Path takes longer than the answer)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def fitting_counts(folder: VocFolder, stems: Collection[str]) -> Iterator[tuple[str, MaskPixels]]:
    """What is known of the masks of `stems`, sorted by stem: those that are as they were when they were counted."""
    wanted, start, end = set(stems), f"{folder.masks}{os.sep}", folder.mask("").name
    for line in _saved(folder.counts_file):
        if line.stem in wanted and (line.size, line.time) == fingerprint(f"{start}{line.stem}{end}"):
            yield line.stem, tuple(sorted(line.pixels.items()))


def save_counts(folder: VocFolder, counted: Iterable[CountedMask]) -> None:
    """Add what was counted, sorted by stem, to what is there, and leave out masks that are gone.

    Where the folder cannot be written, nothing is kept, and nothing is said: the next count takes longer, that is all.
    """
    newest = 0
    try:
        there = folder.mask_stems()
        with writing(folder.counts_file) as file:
            for line in _latest(heapq.merge(_saved(folder.counts_file), counted, key=lambda line: line.stem)):
                if line.stem in there and _is_text(line.stem):
                    file.write(msgspec.json.encode(line) + b"\n")
                    newest = max(newest, line.time)
        _make_newer_than(newest, folder.counts_file)
    except (SegError, OSError):
        return


def _saved(path: Path) -> Iterator[CountedMask]:
    """The lines that make sense, by stem.

    Not those of masks as new as the file itself: such a mask may have been written once more in the same tick of the
    clock, after it was counted.
    """
    if not path.is_file():  # a pipe would make wait
        return
    last = ""
    try:
        with path.open("rb") as file:
            written = os.fstat(file.fileno()).st_mtime_ns
            while text := file.readline(_LONGEST_LINE):
                try:
                    line = _DECODER.decode(text)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    continue
                if last < line.stem and line.time < written:
                    last = line.stem
                    yield line
    except OSError:
        return


def _latest(lines: Iterable[CountedMask]) -> Iterator[CountedMask]:
    """Of two for one stem the later."""
    last: CountedMask | None = None
    for line in lines:
        if last is not None and last.stem != line.stem:
            yield last
        last = line
    if last is not None:
        yield last


def _is_text(stem: str) -> bool:
    """Whether the file's name is UTF-8; others are counted every time."""
    return not any("\ud800" <= letter <= "\udfff" for letter in stem)


def _make_newer_than(newest: int, path: Path) -> None:
    if newest >= path.stat().st_mtime_ns:
        time.sleep(_CLOCK_TICK)
        path.touch()
