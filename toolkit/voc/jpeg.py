"""Whether a JPEG file is complete, without decoding it.

Decoding a photograph of 12 megapixels to learn that nothing is missing takes longer than all else that a conversion
does with it. Source: ITU-T T.81 (1992), annex B.
"""

import re

_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # not stuffed bytes, restarts or fill bytes
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_BETWEEN_SCANS = {0xC4, 0xDB, 0xDC, 0xDD, 0xDA, 0xFE, *range(0xE0, 0xF0)}  # tables, scans, comments, applications


def is_whole_jpeg(data: bytes) -> bool:
    """Whether every segment from start to end of image is there and nothing else stands in the scans.

    False means that decoding has to decide. True does not promise sensible pixels: damage that keeps the structure
    decodes to a picture, here as in every viewer.
    """
    if data[:2] != bytes((0xFF, _START)):
        return False
    at, in_scan = 2, False
    while True:
        if in_scan:
            found = _NEXT_MARKER.search(data, at)
            if found is None:
                return False
            at = found.start()
        while data[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if at + 1 >= len(data) or data[at] != 0xFF:
            return False
        marker = data[at + 1]
        at += 2
        if marker == _END:
            return in_scan
        if marker in _STANDALONE:
            continue
        if in_scan and marker not in _BETWEEN_SCANS:
            return False
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            return False
        at += length
        in_scan = in_scan or marker == _SCAN
