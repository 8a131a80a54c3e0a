"""One training sample as a file that is mapped into memory: 64 bytes of header, the picture, its mask.

    8 bytes   magic               the number in it changes with the layout, and with what reading a picture means
    32        picture and mask    size in bytes and modification time in ns of the files it was made of
    12        longest, h, w       the bound on its sides, and its sides
    4         checksum            CRC-32 of the above
    from 64   uint8 (h, w, 3) RGB, then uint8 (h, w) ids

An entry stands for one state of its two files; where they differ, or anything else does not fit, it is no entry.
Pixels have no checksum: reading them would take longer than all else. What is cut short is recognised by its size.
"""

import mmap
import os
import stat
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from toolkit.files import writing
from toolkit.labels.annotation import Mask
from toolkit.voc.saved_counts import Fingerprint

_HEADER = struct.Struct("<8sqqqqIII")
_CHECKSUM = struct.Struct("<I")
_MAGIC = b"segpix1\n"
_START = 64  # a line of a processor's cache
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe would make wait


@dataclass(frozen=True)
class Origin:
    """What an entry is made of: the states of its picture and its mask, and the bound on its sides in pixels."""

    picture: Fingerprint
    mask: Fingerprint
    longest: int


def entry_bytes(size: tuple[int, int]) -> int:
    """The bytes of an entry of (h, w) pixels."""
    return _START + 4 * size[0] * size[1]


def write_entry(entry: Path, image: npt.NDArray[np.uint8], mask: Mask, origin: Origin) -> None:
    """Write uint8 (h, w, 3) RGB and uint8 (h, w) ids, atomically. Raises SegError if that is not possible."""
    h, w = mask.shape
    header = _HEADER.pack(_MAGIC, *origin.picture, *origin.mask, origin.longest, h, w)
    with writing(entry) as file:
        file.write((header + _CHECKSUM.pack(zlib.crc32(header))).ljust(_START, b"\0"))
        file.write(np.ascontiguousarray(image).data)
        file.write(np.ascontiguousarray(mask).data)


def read_entry(entry: str, origin: Origin) -> tuple[npt.NDArray[np.uint8], Mask] | None:
    """Picture and mask of an entry, mapped; None if it does not fit. What is written to them stays in memory.

    Entries are replaced, never changed, so the size found holds: beyond the end of its file, a map ends the program.
    """
    try:
        descriptor = os.open(entry, _FLAGS)
    except OSError:
        return None
    try:
        size = _size_in(descriptor, origin)
        if size is None:
            return None
        pixels = np.frombuffer(mmap.mmap(descriptor, entry_bytes(size), access=mmap.ACCESS_COPY), np.uint8)
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)
    h, w = size
    end = _START + 3 * h * w
    return pixels[_START:end].reshape(h, w, 3), pixels[end:].reshape(h, w)


def entry_fits(entry: str, origin: Origin) -> bool:
    """Whether `read_entry` would give something."""
    try:
        descriptor = os.open(entry, _FLAGS)
    except OSError:
        return False
    try:
        return _size_in(descriptor, origin) is not None
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _size_in(descriptor: int, origin: Origin) -> tuple[int, int] | None:
    """(h, w) of a file that is an entry made of `origin`, and whole."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return None
    start = os.read(descriptor, _START)
    if len(start) < _START or _CHECKSUM.unpack_from(start, _HEADER.size)[0] != zlib.crc32(start[: _HEADER.size]):
        return None
    *made_of, h, w = _HEADER.unpack_from(start)
    if made_of != [_MAGIC, *origin.picture, *origin.mask, origin.longest]:
        return None
    whole = 0 < h <= origin.longest and 0 < w <= origin.longest and status.st_size == entry_bytes((h, w))
    return (h, w) if whole else None
