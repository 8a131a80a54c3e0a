"""Which pictures look alike: the same scene re-encoded, resized, brightened, or the next frame of a film.

Two stages. A perceptual hash of 64 bits finds candidates: the signs of the lowest cosine frequencies of a small grey
picture against their median (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010).
A hash alone calls all empty pictures alike, so candidates are confirmed by the correlation of small thumbnails.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from toolkit.errors import ImageError
from toolkit.progress import SILENT, Progress
from toolkit.voc.pixels import decode_rgb, read_header

HASH_DISTANCE = 12
"""Bits of 64 in which candidates may differ."""
CORRELATION = 0.97
"""Of thumbnails, mean removed; frames a fifteenth of a second apart have 0.98, other streets of one town below 0.9."""

_GREY_SIDE = 32
_THUMB_SIDE = 16
_DRAFT_SIDE = 128  # a JPEG is decoded at the smallest of 1/1, 1/2, 1/4, 1/8 that is not below
_FLATTEST = 2.0  # grey levels: below this standard deviation a picture shows nothing that could be compared
_BLOCK = 2048


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a picture to find its likes: about 350 bytes.

    bits    64 bits as 8 bytes
    thumb   uint8 grey levels, 16 x 16 in row order, as 256 bytes
    flat    whether the picture shows next to nothing; such ones are never called alike
    """

    bits: bytes
    thumb: bytes
    flat: bool


def fingerprint(source: Path | bytes, place: str = "") -> Fingerprint:
    """The fingerprint of an image file or its bytes, upright; JPEG is decoded only as large as needed.

    Raises ImageError naming `place`.
    """
    place = place or (str(source) if isinstance(source, Path) else "picture")
    data = _read(source, place) if isinstance(source, Path) else source
    header = read_header(data, place)
    if header.format != "JPEG":
        return fingerprint_of(decode_rgb(data, place))
    return fingerprint_of(_small_jpeg(data, place))


def fingerprint_of(image: npt.NDArray[np.uint8]) -> Fingerprint:
    """The fingerprint of uint8 (H, W, 3) RGB or (H, W) grey."""
    side = (_GREY_SIDE, _GREY_SIDE)
    small = cv2.resize(image, side, interpolation=cv2.INTER_AREA)
    grey = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    low = cv2.dct(grey.astype(np.float32))[:8, :8].ravel()
    bits = np.packbits(low > np.median(low[1:]))  # the first is the mean brightness
    thumb = cv2.resize(grey, (_THUMB_SIDE, _THUMB_SIDE), interpolation=cv2.INTER_AREA)
    return Fingerprint(bits.tobytes(), np.asarray(thumb, np.uint8).tobytes(), bool(thumb.std() < _FLATTEST))


def lookalikes(prints: Sequence[Fingerprint], progress: Progress = SILENT) -> list[list[int]]:
    """Groups of two or more indices of pictures that look alike, in order of their first members.

    Likeness is passed on: the frames of a slow film are one group although its ends differ. Compares all pairs, as
    matrix products: 30,000 pictures take seconds and 50 MB.
    """
    seeing = np.array([index for index, one in enumerate(prints) if not one.flat], np.int64)
    if seeing.size < 2:
        return []
    signs = _signs(prints, seeing)
    thumbs = _normalised(prints, seeing)
    roots = np.arange(seeing.size)
    tops = range(0, seeing.size, _BLOCK)
    for top in progress.track(tops, "Looking for near-identical pictures", len(tops)):
        for left in range(top, seeing.size, _BLOCK):
            rows, columns = slice(top, top + _BLOCK), slice(left, left + _BLOCK)
            close = signs[rows] @ signs[columns].T >= 64 - 2 * HASH_DISTANCE
            if left == top:
                close &= ~np.tri(len(close), dtype=bool)
            if close.any():
                close &= thumbs[rows] @ thumbs[columns].T >= CORRELATION
                i, j = np.nonzero(close)
                roots = _joined(roots, i + top, j + left)
    groups: dict[int, list[int]] = {}
    for index, root in zip(seeing.tolist(), roots.tolist(), strict=True):
        groups.setdefault(root, []).append(index)
    return sorted(members for members in groups.values() if len(members) > 1)


def _read(path: Path, place: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{place}: cannot be read: {error.strerror or error}.") from None


def _small_jpeg(data: bytes, place: str) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (_DRAFT_SIDE, _DRAFT_SIDE))
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise ImageError(f"{place}: cannot be decoded ({error}). Replace the file.") from None


def _signs(prints: Sequence[Fingerprint], chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """float32 (n, 64) of -1 and 1: the product of two rows is 64 minus twice their distance in bits."""
    packed = np.frombuffer(b"".join(prints[index].bits for index in chosen), np.uint8).reshape(-1, 8)
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1


def _normalised(prints: Sequence[Fingerprint], chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """float32 (n, 256) of mean 0 and length 1: the product of two rows is their correlation."""
    packed = np.frombuffer(b"".join(prints[index].thumb for index in chosen), np.uint8).reshape(len(chosen), -1)
    centred = packed - packed.mean(axis=1, keepdims=True, dtype=np.float32)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True), np.float32)


def _joined(roots: npt.NDArray[np.int64], i: npt.NDArray[np.int64], j: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Union of the groups of all pairs (i, j) at once; every member points at its group's first one."""
    while True:
        a, b = roots[i], roots[j]
        apart = a != b
        if not apart.any():
            return roots
        target = np.arange(len(roots))
        np.minimum.at(target, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        while not np.array_equal(target, target[target]):
            target = target[target]
        roots = target[roots]
