"""Which JPEG files are stored as they came: whole ones, and only those that a decoder takes."""

import io
import random
import struct
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.annotations import Pixels, encoded, picture
from toolkit.conversion.options import DrawOptions
from toolkit.conversion.pictures import prepare
from toolkit.errors import ImageError
from toolkit.voc.jpeg import read_whole_jpeg

SIZE = (60, 84)
PHOTO = picture(2, SIZE)


def saved(pixels: Pixels = PHOTO, file_format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, **options)
    return buffer.getvalue()


def exif(orientation: int = 1, thumbnail: bytes = b"") -> bytes:
    """An EXIF segment's content, with a whole JPEG as its preview."""
    directory = struct.pack("<H", 1) + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    start = 8 + len(directory) + 4
    second = struct.pack("<H", 2) + struct.pack("<HHII", 0x0201, 4, 1, start + 30)
    second += struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail)) + struct.pack("<I", 0)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", start) + second + thumbnail


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def inserted(data: bytes, extra: bytes) -> bytes:
    """Behind the start of image."""
    return data[:2] + extra + data[2:]


BASELINE = saved()
WHOLE = {
    "baseline": BASELINE,
    "progressive": saved(progressive=True),
    "optimised": saved(optimize=True),
    "restart markers": saved(restart_marker_blocks=1),
    "restart markers, progressive": saved(restart_marker_rows=1, progressive=True),
    "4:2:0": saved(subsampling=2),
    "4:4:4": saved(subsampling=0, quality=100),
    "grey": saved(PHOTO[..., 0].copy()),
    "grey, progressive": saved(PHOTO[..., 0].copy(), progressive=True),
    "red, green, blue": saved(keep_rgb=True),
    "comment with markers in it": saved(comment=b"\xff\xd9\xff\xda\xff\xd8"),
    "profile in several segments": saved(icc_profile=bytes(range(256)) * 600),
    "exif with a preview": inserted(BASELINE, segment(0xE1, exif(1, saved(PHOTO[:8, :8].copy())))),
    "xmp": inserted(BASELINE, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")),
    "mpo": saved(file_format="MPO", save_all=True, append_images=[Image.fromarray(picture(3, SIZE))]),
    "bytes behind the end": BASELINE + b"\0" * 1000,
    "another picture behind the end": BASELINE + saved(picture(4, SIZE)),
    "the end twice": BASELINE + b"\xff\xd9",
    "fill bytes": inserted(BASELINE, b"\xff\xff\xff"),
    "one pixel": saved(PHOTO[:1, :1].copy()),
}


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_whole(name: str) -> None:
    data = WHOLE[name]
    header = read_whole_jpeg(data)
    assert header is not None
    with Image.open(io.BytesIO(data)) as image:
        assert header.size == image.size[::-1]
        assert header.channels == len(image.getbands())
        assert header.orientation == 1
    assert prepare(data, "a.jpg", None, DrawOptions()).data == data


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation: int) -> None:
    for data in (inserted(BASELINE, segment(0xE1, exif(orientation))), saved(exif=pillows_exif(orientation))):
        header = read_whole_jpeg(data)
        assert header is not None
        assert header.orientation == orientation


def pillows_exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F] = "a camera"
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("name", ["baseline", "progressive", "restart markers", "grey", "exif with a preview", "4:2:0"])
def test_cut_anywhere(name: str) -> None:
    """Every length that lacks something; an end of image cannot come by chance."""
    data = WHOLE[name]
    assert not [length for length in range(len(data)) if read_whole_jpeg(data[:length]) is not None]


def without(data: bytes, marker: int) -> bytes:
    """With all segments of a kind made into something that no decoder looks at."""
    return data.replace(bytes((0xFF, marker)), b"\xff\xe9")


def with_byte(data: bytes, marker: int, offset: int, value: int) -> bytes:
    at = data.index(bytes((0xFF, marker))) + offset
    return data[:at] + bytes((value,)) + data[at + 1 :]


DAMAGED = {
    "a hole of zeros with a marker": BASELINE[:700] + b"\xff\xc0" + BASELINE[702:],
    "two files run together": BASELINE[:-400] + BASELINE,
    "no quantisation": without(BASELINE, 0xDB),
    "no frame": without(BASELINE, 0xC0),
    "no scan": without(BASELINE, 0xDA),
    "twelve bits": with_byte(BASELINE, 0xC0, 4, 12),
    "no height": with_byte(with_byte(BASELINE, 0xC0, 5, 0), 0xC0, 6, 0),
    "nine channels": with_byte(BASELINE, 0xC0, 9, 9),
    "a quantisation that is not there": with_byte(BASELINE, 0xC0, 12, 3),
    "lossless": BASELINE.replace(b"\xff\xc0", b"\xff\xc3"),
    "a reserved marker": with_byte(BASELINE, 0xE0, 1, 0x50),
    "codes under a reserved marker": with_byte(BASELINE, 0xC4, 1, 0xF3),
    "codes too long": with_byte(BASELINE, 0xC4, 6, 200),
    "progressive with a broken later scan": b"\xff\xda".join(saved(progressive=True).split(b"\xff\xda")[:3])
    + b"\xff\xda\x00\x08\x01\x07\x00\x00\x3f\x00"
    + b"\xff\xd9",
    "nothing but its ends": b"\xff\xd8\xff\xd9",
    "empty": b"",
    "png": encoded(PHOTO, "PNG"),
}


@pytest.mark.parametrize("name", sorted(DAMAGED))
def test_damaged(name: str) -> None:
    with pytest.raises(ImageError, match=r"^a\.jpg: "):
        stored = prepare(DAMAGED[name], "a.jpg", None, DrawOptions())
        assert stored.data != DAMAGED[name]  # a decoder took it, so what it made is stored
        raise ImageError("a.jpg: ")


def test_what_is_stored_as_it_came_can_be_decoded_and_has_the_size_and_turn_that_were_read() -> None:
    chance = random.Random(5)
    seeds = [WHOLE[name] for name in sorted(WHOLE)] + [saved(exif=pillows_exif(6))]
    stored = 0
    for _ in range(3000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 2, 4))):
            at = chance.randrange(min(len(data), chance.choice((30, 700, 10**9))))
            data[at] = chance.choice((0, 255, chance.randrange(256)))
        try:
            made = prepare(bytes(data), "a.jpg", None, DrawOptions(max_megapixels=1))
        except ImageError:
            continue
        if made.data == bytes(data):
            stored += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of damaged EXIF
                with Image.open(io.BytesIO(made.data)) as image:
                    assert np.asarray(image).shape[:2] == made.size
    assert stored > 500
