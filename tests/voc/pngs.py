"""PNG files of every kind, written by the book and without any library of pictures."""

import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.unsignedinteger]

_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    mask: Pixels,
    *,
    depth: int = 8,
    palette: bool = True,
    filters: Sequence[int] = (0,),
    parts: int = 1,
    interlaced: bool = False,
    extra: bytes = b"",
    padding: int = 0,
) -> bytes:
    """A palette or grey PNG.

    filters   of the rows, in turn
    parts     IDAT chunks
    extra     chunks before the data
    padding   bits, all 0 or all 1, behind the last pixel of a row
    """
    passes = [mask[y::dy, x::dx] for x, y, dx, dy in _ADAM7] if interlaced else [mask]
    raw = b"".join(filtered(part, depth, filters, padding) for part in passes if part.size)
    return assembled(mask.shape, zlib.compress(raw), depth, palette, parts, interlaced, extra)


def assembled(
    size: tuple[int, ...],
    data: bytes,
    depth: int = 8,
    palette: bool = True,
    parts: int = 1,
    interlaced: bool = False,
    extra: bytes = b"",
) -> bytes:
    """A PNG around a stream of its rows."""
    header = struct.pack(">IIBBBBB", size[1], size[0], depth, 3 if palette else 0, 0, 0, interlaced)
    cuts = [len(data) * part // parts for part in range(parts + 1)]
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"PLTE", bytes(range(256)) * 3) if palette else b"",
            extra,
            *(chunk(b"IDAT", data[start:end]) for start, end in pairwise(cuts)),
            chunk(b"IEND", b""),
        )
    )


def filtered(mask: Pixels, depth: int, filters: Sequence[int], padding: int = 0) -> bytes:
    """The rows as they are before they are deflated."""
    rows = [_packed(row, depth, padding) for row in mask]
    step = max(1, depth // 8)
    found = b""
    above = bytes(len(rows[0]))
    for number, row in enumerate(rows):
        kind = filters[number % len(filters)]
        left, corner = bytes(step) + row[:-step], bytes(step) + above[:-step]
        expected = [_predicted(kind, *around) for around in zip(left, above, corner, strict=True)]
        found += bytes([kind, *((value - guess) % 256 for value, guess in zip(row, expected, strict=True))])
        above = row
    return found


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda value: abs(guess - value))
    return (0, left, up, (left + up) // 2)[kind]


def _packed(row: Pixels, depth: int, padding: int) -> bytes:
    bits = "".join(f"{value:0{depth}b}" for value in row.tolist())
    bits += str(padding) * (-len(bits) % 8)
    return bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits), 8))
