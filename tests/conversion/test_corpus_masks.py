"""Mask shapes, and what is embedded as base64."""

import base64
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.annotations import Pixels, content, encoded, picture
from tests.conversion.cases import (
    ERROR,
    SILENT,
    SKIPPED,
    WARNED,
    Case,
    H,
    W,
    dog,
    mask_of,
    named,
    odd_picture,
    odd_text,
    png_text,
    run,
    shapes,
)

BITMAP = np.random.default_rng(1).random((6, 9)) < 0.6
TEXT = png_text(BITMAP.astype(np.uint8))


def mask(points: Any = ((5, 4), (13, 9)), data: Any = TEXT, **fields: Any) -> Any:
    return dog([list(point) for point in points], "mask", mask=data, **fields)


def empty_png(width: int, height: int, bits: int = 1) -> bytes:
    """A whole PNG of zeros; a few kilobytes even for a very large one."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    squeezer = zlib.compressobj(9)
    row = bytes(1 + (width * bits + 7) // 8)
    data = b"".join(squeezer.compress(row) for _ in range(height)) + squeezer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def pasted(left: int, top: int, bitmap: Any = BITMAP) -> Pixels:
    """The class mask by hand: the bitmap with its top left pixel there, cut off at the edges."""
    canvas = np.zeros((H, W), np.uint8)
    for y, x in np.argwhere(bitmap):
        if 0 <= top + y < H and 0 <= left + x < W:
            canvas[top + y, left + x] = 2
    return canvas


PLACES: dict[str, tuple[Any, Pixels, str]] = {
    "at its box": (((5, 4), (13, 9)), pasted(5, 4), SILENT),
    "over the left edge": (((-4, -3), (4, 2)), pasted(-4, -3), SILENT),
    "over the right edge": (((30, 20), (38, 25)), pasted(30, 20), SILENT),
    "box a pixel larger": (((5, 4), (14, 10)), pasted(5, 4), SILENT),
    "box a pixel smaller crops": (((5, 4), (12, 8)), pasted(5, 4, BITMAP[:5, :8]), SILENT),
    "box much larger": (((5, 4), (33, 20)), pasted(5, 4), WARNED),
    "box much smaller crops": (((5, 4), (8, 6)), pasted(5, 4, BITMAP[:3, :4]), WARNED),
    "fractions are rounded": (((5.4, 3.6), (13.4, 8.6)), pasted(5, 4), SILENT),
    "outside": (((100, 100), (108, 105)), pasted(100, 100), WARNED),
}


@pytest.mark.parametrize("name", sorted(PLACES))
def test_where_a_mask_lies(tmp_path: Path, name: str) -> None:
    points, expected, outcome = PLACES[name]
    run(Case(name, shapes(mask(points)), outcome, drawn=None), tmp_path)
    np.testing.assert_array_equal(mask_of(tmp_path / "voc", "odd"), expected)


def grey_alpha() -> Pixels:
    return np.dstack([BITMAP.astype(np.uint8) * 255] * 2)


def two_colours() -> Pixels:
    return np.dstack([BITMAP.astype(np.uint8) * 255] * 3)


FORMS: dict[str, tuple[str, str]] = {
    "one bit": (png_text(BITMAP), SILENT),
    "0 and 255": (png_text(BITMAP.astype(np.uint8) * 255), SILENT),
    "16 bit": (png_text(BITMAP.astype(np.uint16) * 65535), SILENT),
    "data URI": (f"data:image/png;base64,{TEXT}", SILENT),
    "line breaks": ("\n".join(TEXT[i : i + 20] for i in range(0, len(TEXT), 20)) + "\n", SILENT),
    "blanks": (" " + TEXT.replace("/", " /"), SILENT),
    "without padding": (TEXT.rstrip("="), SILENT),
    "webp": (text_of(encoded(two_colours(), "WEBP", lossless=True)), SKIPPED),
    "colours": (png_text(two_colours()), SKIPPED),
    "grey and alpha": (png_text(grey_alpha()), SKIPPED),
    "empty": ("", SKIPPED),
    "not base64": ("%%%%", SKIPPED),
    "a single letter": ("A", SKIPPED),
    "not a picture": (text_of(b"hello"), SKIPPED),
    "a program": (text_of(encoded(two_colours(), "EPS")), SKIPPED),
    "truncated": (text_of(base64.b64decode(TEXT)[:-30]), SKIPPED),
    "signature only": (text_of(base64.b64decode(TEXT)[:8]), SKIPPED),
    "header only": (text_of(base64.b64decode(TEXT)[:33]), SKIPPED),
    "a bomb": (text_of(empty_png(40_000, 40_000)[:20_000]), SKIPPED),
    "a bomb, its box fits nothing": (text_of(empty_png(9_000, 9_000)), SKIPPED),
}


@pytest.mark.parametrize("name", sorted(FORMS))
def test_how_a_mask_is_written(tmp_path: Path, name: str) -> None:
    data, outcome = FORMS[name]
    items = [mask(data=data)] if outcome == SILENT else [dog([[0, 0], [1, 1]], "rectangle"), mask(data=data)]
    says = () if outcome == SILENT else ("odd.json: shapes[1].mask: ",)
    run(Case(name, shapes(*items), outcome, says, None), tmp_path)
    if outcome == SILENT:
        np.testing.assert_array_equal(mask_of(tmp_path / "voc", "odd"), pasted(5, 4))


@pytest.mark.parametrize("value", [None, 5, True, [], {}, ["x"], {"a": 1}], ids=str)
def test_a_mask_of_a_wrong_type(tmp_path: Path, value: Any) -> None:
    make = shapes(dog(), mask(data=value))
    run(Case("type", make, SKIPPED, ("odd.json: shapes[1].mask: ",)), tmp_path)


def test_masks_that_together_fill_the_memory_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.labels.labelme.LARGEST_BITMAPS", 1_000_000)
    large = mask(((0, 0), (599, 599)), text_of(empty_png(600, 600)))
    report = run(Case("many", shapes(*[large] * 9, dog()), SKIPPED, ("too many pixels together",)), tmp_path)
    assert [finding.code for finding in report.remarks].count("mask-picture") == 7


def test_a_mask_is_not_scaled_to_fill_the_memory(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        odd_picture(folder, empty_png(20_000, 20_000), "odd.png")
        item = mask(((0, 0), (35, 23)), png_text(np.ones((24, 36), np.uint8)))
        (folder / "odd.json").write_text(json.dumps(content([item], "odd.png") | {"imageHeight": 2, "imageWidth": 2}))

    case = Case("bomb", make, ERROR, ("odd.json: shapes[0].mask: scaled", "imageHeight"), options={"rescale": True})
    case.options["max_megapixels"] = 500
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "toolkit.conversion.pictures.decode_rgb", lambda *_, **__: np.zeros((20_000, 20_000, 3), np.uint8)
        )
        patch.setattr("toolkit.conversion.pictures.encode_jpeg", lambda _: b"")
        run(case, tmp_path)


PHOTO = encoded(picture(7))
PHOTO_TEXT = base64.b64encode(PHOTO).decode()


def embedded(value: str, image: Any = "elsewhere.jpg", **fields: Any) -> Callable[[Path], None]:
    return lambda folder: odd_text(folder, json.dumps(content([dog()], image) | {"imageData": value} | fields))


BROKEN = "\n".join(PHOTO_TEXT[i : i + 76] for i in range(0, len(PHOTO_TEXT), 76))
OTHERS = base64.b64encode(encoded(picture(7), "PNG")).decode()

EMBEDDED = [
    Case("embedded", embedded(PHOTO_TEXT)),
    Case("embedded, no path", embedded(PHOTO_TEXT, None)),
    Case("embedded, the path is the annotation", embedded(PHOTO_TEXT, "odd.json")),
    Case("embedded, the path leads out", embedded(PHOTO_TEXT, "../../../etc/passwd")),
    Case("embedded, the path is a number", embedded(PHOTO_TEXT, 5)),
    Case("embedded, the path holds NUL", embedded(PHOTO_TEXT, "a\0b")),
    Case("embedded, no size", embedded(PHOTO_TEXT, imageHeight=None, imageWidth=None)),
    Case("line-broken", embedded(BROKEN)),
    Case("line-broken with returns", embedded(BROKEN.replace("\n", "\r\n"))),
    Case("data URI", embedded(f"data:image/jpeg;base64,{PHOTO_TEXT}")),
    Case(
        "escaped slashes",
        lambda folder: odd_text(folder, json.dumps(content([dog()], "x", imageData=PHOTO_TEXT)).replace("/", "\\/")),
    ),
    Case("blanks around", embedded(f" {PHOTO_TEXT}\t")),
    Case("padding missing", embedded(PHOTO_TEXT.rstrip("="))),
    Case("PNG behind a jpg", embedded(OTHERS, "odd.jpg")),
    Case(
        "not base64",
        embedded(PHOTO_TEXT[:99] + "*" + PHOTO_TEXT[99:]),
        ERROR,
        ("odd.json: imageData: not valid base64",),
    ),
    Case("not ascii", embedded(PHOTO_TEXT[:99] + "\u732b"), ERROR, ("odd.json: imageData: not valid base64",)),
    Case("half a character", embedded("\ud800"), ERROR, ("odd.json: imageData: not valid base64",)),
    Case("a letter too many", embedded(PHOTO_TEXT.rstrip("=")[:41]), ERROR, ("odd.json: imageData: not valid base64",)),
    Case("padding in the middle", embedded("QQ==" + PHOTO_TEXT), ERROR, ("odd.json: imageData: ",)),
    Case(
        "truncated",
        embedded(PHOTO_TEXT[: len(PHOTO_TEXT) // 8 * 4]),
        ERROR,
        ("odd.json: imageData: cannot be decoded",),
    ),
    Case("a text", embedded(text_of(b"hello")), ERROR, ("odd.json: imageData: not an image in a known format",)),
    Case("a path instead of data", embedded("odd.jpg"), ERROR, ("odd.json: imageData: not valid base64",)),
    Case(
        "data URI of nothing", embedded("data:image/png;base64,"), ERROR, ("odd.json: imageData: is empty (0 bytes)",)
    ),
    Case("a program", embedded(text_of(encoded(picture(), "EPS"))), ERROR, ("odd.json: imageData: not an image",)),
    Case(
        "of another size",
        embedded(text_of(encoded(picture(0, (48, 72))))),
        ERROR,
        ("imageHeight, imageWidth: the annotation is for a picture of 36 x 24 pixels",),
    ),
    Case(
        "beside a file of another size",
        lambda folder: (
            embedded(PHOTO_TEXT, "b.jpg")(folder),
            odd_picture(folder, encoded(picture(0, (48, 72))), "b.jpg"),
        ),
        WARNED,
        (
            "odd.json: imageData: the embedded picture has 36 x 24 pixels, b.jpg beside it 72 x 48; the embedded one is used",
        ),
    ),
    Case(
        "beside a file that is no picture",
        lambda folder: (embedded(PHOTO_TEXT, "b.jpg")(folder), odd_picture(folder, b"hello", "b.jpg")),
    ),
]


@pytest.mark.parametrize(**named(EMBEDDED))
def test_embedded(tmp_path: Path, case: Case) -> None:
    run(case, tmp_path)
    if case.outcome != ERROR and "PNG" not in case.name:
        assert (tmp_path / "voc" / "JPEGImages" / "odd.jpg").read_bytes() == PHOTO
