"""What a JPEG file says of itself, and whether it is complete, without decoding it.

Decoding a photograph of 12 megapixels to learn that nothing is missing takes longer than all else that a conversion
does with it. Source: ITU-T T.81 (1992), annex B; for the orientation Exif 2.32 (2019), section 4.6.
"""

import re
import struct
from dataclasses import dataclass

_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # not stuffed bytes, restarts or fill bytes
_START, _END, _SCAN, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_BETWEEN_SCANS = {0xC4, 0xDB, 0xDC, 0xDD, 0xDA, 0xFE, *range(0xE0, 0xF0)}  # tables, scans, comments, applications
_TABLES = {0xC4, 0xDB, 0xDD, 0xDA}
_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive: what is in use
_EXIF = b"Exif\0\0"
_ORIENTATION_TAG, _SHORT = 0x0112, 3


@dataclass(frozen=True)
class JpegHeader:
    """The frame of a JPEG file: (H, W) as stored, 1 or 3 channels of 8 bits, EXIF orientation 1..8.

    skeleton    the file's tables and headers around a picture of 8 x 8 pixels that is not there: a decoder refuses it at
                once if it would refuse the file's tables. Files of one camera or program share it
    """

    size: tuple[int, int]
    channels: int
    orientation: int
    skeleton: bytes


def read_whole_jpeg(data: bytes) -> JpegHeader | None:
    """The header of a JPEG file in which every segment from start to end of image is there, with nothing else between.

    None means that decoding has to decide: something is missing, or unusual. A header does not promise sensible
    pixels: damage that keeps the structure decodes to a picture, here as in every viewer.
    """
    if data[:2] != bytes((0xFF, _START)):
        return None
    at, size, channels, orientation, in_scan = 2, (0, 0), 0, 1, False
    bones = [data[:2]]
    while True:
        if in_scan:
            found = _NEXT_MARKER.search(data, at)
            if found is None:
                return None
            at = found.start()
        while data[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if at + 1 >= len(data) or data[at] != 0xFF:
            return None
        marker = data[at + 1]
        at += 2
        if marker == _END:
            if not in_scan or channels not in (1, 3) or min(size) == 0:
                return None
            return JpegHeader(size, channels, orientation, b"".join((*bones, bytes((0xFF, _END)))))
        if marker in _STANDALONE:
            continue
        if marker not in _BETWEEN_SCANS and (in_scan or marker not in _FRAMES):  # reserved: readers differ about them
            return None
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            return None
        if marker in _FRAMES:
            if length < 8 or data[at + 2] != 8 or channels:  # 8 bits a channel, one frame
                return None
            size, channels = struct.unpack_from(">HH", data, at + 3), data[at + 7]
            bones.append(data[at - 2 : at + 3] + struct.pack(">HH", 8, 8) + data[at + 7 : at + length])
        elif marker == _APP1 and not in_scan:
            turned = _orientation(data[at + 2 : at + length])
            if turned is None:
                return None
            orientation = turned if turned != 1 else orientation
        elif marker in _TABLES:
            bones.append(data[at - 2 : at + length])
        at += length
        in_scan = in_scan or marker == _SCAN


def _orientation(segment: bytes) -> int | None:
    """1..8 by the first directory of an EXIF segment, 1 if it names none; None if somebody else has to look."""
    if not segment.startswith(_EXIF):
        return None if b"tiff:Orientation" in segment else 1  # XMP, where Pillow looks, too
    tiff = segment[len(_EXIF) :]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, first)
        for entry in range(entries):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, first + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else None
    except struct.error:
        return None
    return 1
