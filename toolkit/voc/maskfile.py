"""One mask file -> its pixels by value, five times as fast as decoding it, and never more than a band of it in memory.

A mask has long runs of one value: once its rows are inflated, what remains is to find where runs end. Only flawless
PNG files of ids are counted here, checked by all of their checksums; whatever else there is goes to `read_mask`,
which knows all kinds of files and says what is wrong with them.
Source: PNG (Portable Network Graphics) Specification, W3C, third edition, 2025.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.errors import ImageError
from toolkit.files import read_file
from toolkit.labels.annotation import Mask
from toolkit.voc.pixels import LARGEST_PICTURE, read_mask
from toolkit.voc.png import GREY, INFLATE_ERRORS, PALETTE, SIGNATURE, new_inflater

MaskPixels = tuple[tuple[int, int], ...]
"""(value, pixels) of one mask, by value; those that occur, 255 included."""

_Bytes = npt.NDArray[np.uint8]
_Counts = npt.NDArray[np.int64]

_LARGEST_FILE = 64 << 20  # bytes; above, Pillow reads it piece by piece
_BAND_BYTES = 1 << 18  # fits into a processor's cache with all that is derived from it
_PIECE_BYTES = 1 << 15
_KINDS = {(8, GREY), (8, PALETTE), (4, PALETTE), (2, PALETTE), (1, PALETTE)}  # grey of few bits is stretched to 0..255
_HARMLESS = {
    b"gAMA": 4,
    b"cHRM": 32,
    b"sRGB": 1,
    b"pHYs": 9,
    b"tIME": 7,
}  # chunks without a say in the ids, their sizes
_FEWEST_IN_A_RUN = 8  # pixels on average, below which a histogram is faster


class _NotPlain(Exception):
    """Nothing that is counted here, which does not mean that it is no mask."""


@dataclass(frozen=True)
class _Plain:
    """The parts of a PNG file that matter. A row is one filter byte and `row_bytes` of pixels, `depth` bits each."""

    width: int
    height: int
    depth: int
    data: tuple[memoryview, ...]

    @property
    def row_bytes(self) -> int:
        return (self.width * self.depth + 7) // 8


def mask_pixels(path: Path) -> MaskPixels:
    """The pixels of a mask file by value: those of `read_mask`, counted.

    Raises ImageError, also for what is no ordinary file.
    """
    try:
        if path.stat().st_size <= _LARGEST_FILE:
            return _named(_counted(_parsed(read_file(path, _LARGEST_FILE, ImageError))))
    except (OSError, _NotPlain):
        pass
    return pixels_in(read_mask(path))


def read_ids(path: Path) -> Mask:
    """The class ids of a mask file, uint8 (H, W): those of `read_mask`, four times as fast from rows without filters.

    So `seg`, Pillow and the makers of VOC write palettes. Raises ImageError, also for what is no ordinary file.
    """
    try:
        if path.stat().st_size <= _LARGEST_FILE:
            return _ids(_parsed(read_file(path, _LARGEST_FILE, ImageError)))
    except (OSError, _NotPlain):
        pass
    return read_mask(path)


def pixels_in(mask: Mask) -> MaskPixels:
    """The pixels of a mask, uint8 (H, W), by value."""
    return _named(_in_runs(mask.ravel()))


def _named(counts: _Counts) -> MaskPixels:
    values = np.flatnonzero(counts)
    return tuple(zip(values.tolist(), counts[values].tolist(), strict=True))


def _parsed(file: bytes) -> _Plain:
    """Raises _NotPlain for anything that is not a flawless PNG of ids."""
    if file[:8] != SIGNATURE or file[8:16] != b"\0\0\0\x0dIHDR" or len(file) < 33:
        raise _NotPlain
    width, height, depth, color, *methods = struct.unpack_from(">IIBBBBB", file, 16)
    if (depth, color) not in _KINDS or any(methods) or not 0 < width * height <= LARGEST_PICTURE:
        raise _NotPlain
    data: list[memoryview] = []
    before, with_palette = b"", False
    for kind, content in _chunks(file):
        if kind == b"IDAT":
            if data and before != b"IDAT":
                raise _NotPlain
            data.append(content)
        elif kind == b"PLTE" and color == PALETTE and not (data or with_palette):
            with_palette = True
        elif kind == b"IEND":
            break
        elif len(content) != (13 if kind == b"IHDR" and not before else _HARMLESS.get(kind)):
            raise _NotPlain
        before = kind
    if not data or with_palette != (color == PALETTE):
        raise _NotPlain
    return _Plain(width, height, depth, tuple(data))


def _chunks(file: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Raises _NotPlain where the file ends too early or a checksum does not fit."""
    view, start = memoryview(file), len(SIGNATURE)
    while True:
        if start + 12 > len(file):
            raise _NotPlain
        length, kind = struct.unpack_from(">I4s", file, start)
        end = start + 8 + length
        if end + 4 > len(file) or zlib.crc32(view[start + 4 : end]) != int.from_bytes(file[end : end + 4]):
            raise _NotPlain
        yield kind, view[start + 8 : end]
        start = end + 4


def _counted(png: _Plain) -> _Counts:
    """int64 (256,): pixels by value. Raises _NotPlain if the data are damaged, or more or fewer than the rows."""
    counts = np.zeros(256, np.int64)
    last_column = np.zeros(256, np.int64)
    above = np.zeros(png.row_bytes, np.uint8)
    for band in _bands(png):
        filters = band[:, 0]
        if not filters.any():
            counts += _in_runs(band.ravel())
            counts[0] -= len(band)  # the filter bytes
            rows = band[:, 1:]
        elif png.depth == 8 and (filters == 1).all():
            counts += _in_runs_of_differences(band)
            rows = np.cumsum(band[-1:, 1:], axis=1, dtype=np.uint8)
        else:
            rows = _unfiltered(band, above)
            counts += _in_runs(rows.ravel())
        above = rows[-1]
        if png.depth < 8:
            last_column += np.bincount(rows[:, -1], minlength=256)
    return counts if png.depth == 8 else _unpacked(counts, last_column, png)


def _ids(png: _Plain) -> Mask:
    """Raises _NotPlain if there are filters, or several pixels in a byte, or the data are damaged."""
    if png.depth < 8:
        raise _NotPlain
    ids, top = np.empty((png.height, png.width), np.uint8), 0
    for band in _bands(png):
        if band[:, 0].any():
            raise _NotPlain
        ids[top : top + len(band)] = band[:, 1:]
        top += len(band)
    return ids


def _bands(png: _Plain) -> Iterator[_Bytes]:
    """The inflated rows, uint8 (n, 1 + row_bytes), some at a time. Raises _NotPlain."""
    stride = 1 + png.row_bytes
    if stride > _BAND_BYTES:
        raise _NotPlain
    try:
        left = png.height
        inflated = _Inflated(png.data)
        while left:
            rows = min(left, _BAND_BYTES // stride)
            yield np.frombuffer(inflated.read(rows * stride), np.uint8).reshape(rows, stride)
            left -= rows
        inflated.end()
    except INFLATE_ERRORS:
        raise _NotPlain from None


class _Inflated:
    """What a zlib stream in several parts holds, in pieces of any size."""

    def __init__(self, parts: Iterable[memoryview]) -> None:
        self._inflater = new_inflater()
        self._waiting: bytes | memoryview = b""
        self._pieces = (
            part[start : start + _PIECE_BYTES] for part in parts for start in range(0, len(part), _PIECE_BYTES)
        )

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises _NotPlain if there are fewer."""
        found: list[bytes] = []
        while size:
            found.append(self._some(size))
            if not found[-1]:
                raise _NotPlain
            size -= len(found[-1])
        return found[0] if len(found) == 1 else b"".join(found)

    def end(self) -> None:
        """Raises _NotPlain if there is more, or if the end of the stream, where its checksum is, is missing."""
        if self._some(1) or not self._inflater.eof or self._inflater.unused_data or next(self._pieces, None):
            raise _NotPlain

    def _some(self, most: int) -> bytes:
        """Up to `most` bytes; none at the end."""
        while True:
            given = self._waiting or next(self._pieces, b"")
            found = self._inflater.decompress(given, most)
            self._waiting = self._inflater.unconsumed_tail
            if found or not given or self._inflater.eof:
                return found


def _in_runs(values: _Bytes) -> _Counts:
    """int64 (256,): how often each value occurs in uint8 (n,)."""
    ends = np.flatnonzero(values[1:] != values[:-1])
    if len(ends) * _FEWEST_IN_A_RUN > len(values):
        return np.array(Image.fromarray(values.reshape(1, -1)).histogram(), np.int64)
    ends = np.concatenate((ends, [len(values) - 1]))
    return _summed(values[ends], np.diff(ends, prepend=-1))


def _in_runs_of_differences(band: _Bytes) -> _Counts:
    """The same for the pixels of rows with filter 1: each byte is the difference to the pixel before it.

    Runs end where a difference is not 0, or at a filter byte, which is 1 here.
    """
    differences = band.ravel()
    starts = np.flatnonzero(differences != 0)  # ten times as fast as without the comparison
    heads = starts % band.shape[1] == 0
    lengths = np.diff(starts, append=len(differences))
    lengths[heads] -= 1  # the filter bytes
    sums = np.cumsum(np.where(heads, 0, differences[starts]), dtype=np.uint8)  # over all rows: bytes wrap around
    before = sums[heads][np.cumsum(heads) - 1]
    return _summed(sums - before, lengths)


def _unfiltered(band: _Bytes, above: _Bytes) -> _Bytes:
    """uint8 (n, row_bytes): a band without its filters, undone by Pillow, which takes rows as it finds them in a file.

    above   uint8 (row_bytes,): the row before the band
    """
    rows, stride = band.shape
    file = zlib.compress(b"".join((b"\0", above.data, band.data)), 0)
    try:
        image = Image.frombytes("L", (stride - 1, rows + 1), file, "zip", "L")
    except ValueError:  # a filter that does not exist
        raise _NotPlain from None
    return np.asarray(image)[1:]


def _unpacked(counts: _Counts, last_column: _Counts, png: _Plain) -> _Counts:
    """From how often each byte occurs to how often each value does, several in a byte, the first in its highest bits.

    last_column   the same for the last bytes of the rows, where what is beyond the width has to be left out
    """
    in_a_byte = 8 // png.depth
    beyond = png.row_bytes * in_a_byte - png.width
    found = np.zeros(256, np.int64)
    for place in range(in_a_byte):
        values = (np.arange(256) >> place * png.depth & (1 << png.depth) - 1).astype(np.uint8)
        found += _summed(values, counts - last_column if place < beyond else counts)
    return found


def _summed(values: _Bytes, amounts: _Counts) -> _Counts:
    """int64 (256,). The sums are floats on the way, exact up to 2^53."""
    return np.bincount(values, amounts, 256).astype(np.int64)
