"""Pictures of every kind, turned every way, and files that are none."""

import io
import json
import os
import random
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.annotations import Pixels, annotated, content, encoded, picture
from tests.conversion.cases import (
    BOX,
    ERROR,
    SILENT,
    WARNED,
    Case,
    H,
    W,
    dog,
    named,
    odd,
    photo,
    run,
)
from toolkit.conversion.convert import convert
from toolkit.conversion.options import DrawOptions
from toolkit.conversion.pictures import prepare, read_picture
from toolkit.errors import ImageError
from toolkit.voc.pixels import read_image

PHOTO = picture(5)
IMAGE = Image.fromarray(PHOTO)
GREY = PHOTO[..., 0].copy()
DEEP = GREY.astype(np.uint16) * 200
LARGE = picture(0, (300, 400))


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG that declares this size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def frames(file_format: str, **options: Any) -> bytes:
    other = Image.fromarray(picture(9))
    return saved(IMAGE, file_format, save_all=True, append_images=[other], **options)


def with_size(data: bytes, height: int, width: int) -> bytes:
    """A JPEG whose frame declares another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def exif(orientation: Any, **others: Any) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    for tag, value in others.items():
        tags[int(tag, 16)] = value
    return tags


JPEG = encoded(PHOTO)
KEEP = {"image_format": "keep"}
PNG = {"image_format": "png"}


def good(name: str, data: bytes, file: str = "odd.jpg", **more: Any) -> Case:
    return Case(name, photo(data, file, imageHeight=H, imageWidth=W), **more)


def bad(name: str, data: bytes, reason: str, file: str = "odd.jpg", **more: Any) -> Case:
    return Case(name, photo(data, file), ERROR, ("odd.json: ", reason), **more)


FORMATS = [
    good("jpeg", JPEG),
    good("progressive", saved(IMAGE, "JPEG", progressive=True)),
    good("restart markers", saved(IMAGE, "JPEG", restart_marker_blocks=1)),
    good("grey jpeg", encoded(GREY)),
    good("jpeg with 4:2:0", saved(IMAGE, "JPEG", subsampling=2)),
    good("jpeg with a comment and a profile", saved(IMAGE, "JPEG", comment=b"hello", icc_profile=b"x" * 70_000)),
    good("bytes behind a jpeg", JPEG + b"\0" * 1000),
    good("two jpegs in one file", JPEG + encoded(picture(6))),
    good("mpo", frames("MPO")),
    good("jpeg called png", JPEG, "odd.png"),
    good("jpeg called tif", JPEG, "odd.tif"),
    good("jpeg in capitals", JPEG, "odd.JPEG"),
    good("jpeg without suffix", JPEG, "odd"),
    good("png called jpg", encoded(PHOTO, "PNG")),
    *(good(f"png {mode}", saved(IMAGE.convert(mode), "PNG"), "odd.png") for mode in ("RGB", "RGBA", "L", "LA", "1")),
    good("png with palette", saved(IMAGE.quantize(8), "PNG"), "odd.png"),
    good("png with a transparent colour", saved(IMAGE.quantize(8), "PNG", transparency=1), "odd.png"),
    good("png kept", encoded(PHOTO, "PNG"), "odd.png", options=KEEP),
    good("rgba kept", saved(IMAGE.convert("RGBA"), "PNG"), "odd.png", options=KEEP),
    good("jpeg as png", JPEG, options=PNG),
    good("bmp", encoded(PHOTO, "BMP"), "odd.bmp"),
    good("tiff", encoded(PHOTO, "TIFF"), "odd.tif"),
    good("tiff lzw", encoded(PHOTO, "TIFF", compression="tiff_lzw"), "odd.tiff"),
    good("tiff called jpg", encoded(PHOTO, "TIFF")),
    good("webp", encoded(PHOTO, "WEBP"), "odd.webp"),
    good("gif", saved(IMAGE.quantize(8), "GIF"), "odd.gif"),
    good("cmyk", saved(IMAGE.convert("CMYK"), "JPEG")),
    good("ycbcr tiff", saved(IMAGE.convert("YCbCr"), "TIFF"), "odd.tif"),
    good("16 bit png", encoded(DEEP, "PNG"), "odd.png", outcome=WARNED, says=("more than 8 bits a channel",)),
    good("16 bit tiff", encoded(DEEP, "TIFF"), "odd.tif", outcome=WARNED, says=("more than 8 bits a channel",)),
    good("float tiff", encoded(DEEP / np.float32(7), "TIFF"), "odd.tif", outcome=WARNED, says=("more than 8 bits",)),
    good("tiff of NaN", encoded(np.full((H, W), np.nan, np.float32), "TIFF"), "odd.tif", outcome=WARNED),
    good("several pages", frames("TIFF"), "odd.tif", outcome=WARNED, says=("holds 2 pictures; the first one is used",)),
    good("animated gif", frames("GIF"), "odd.gif", outcome=WARNED, says=("holds 2 pictures",)),
    good("animated webp", frames("WEBP"), "odd.webp", outcome=WARNED, says=("holds 2 pictures",)),
    good("animated png", frames("PNG"), "odd.png", outcome=WARNED, says=("holds 2 pictures",)),
    Case("1 x 1", photo(encoded(picture(0, (1, 1)))), drawn=None, outcome=WARNED, says=("lies outside the picture (1 x 1",)),
    Case("1 x 1 with its pixel", photo(encoded(picture(0, (1, 1))), "odd.jpg", dog([[0, 0], [0, 0]], "rectangle"))),
    Case("a row", photo(encoded(picture(0, (1, 300))), "odd.jpg", dog([[5, 0], [50, 0]], "rectangle")), drawn=[("rectangle", [[5, 0], [50, 0]])]),
    Case("a column kept", photo(encoded(picture(0, (300, 1)), "PNG"), "odd.png", dog([[0, 5], [0, 50]], "rectangle")), drawn=[("rectangle", [[0, 5], [0, 50]])], options=KEEP),
]  # fmt: skip
FORMATS[-3] = Case(FORMATS[-3].name, FORMATS[-3].make, drawn=[("rectangle", [[0, 0], [0, 0]])])

BAD = [
    bad("0 bytes", b"", "odd.jpg: is empty (0 bytes)"),
    bad("text", b"hello", "odd.jpg: not an image in a known format"),
    bad("html", b"<!DOCTYPE html>", "not an image in a known format"),
    bad("zeros", b"\0" * 5000, "not an image in a known format"),
    bad("json", b"{}", "not an image in a known format"),
    bad("a program", encoded(PHOTO, "EPS"), "not an image in a known format"),
    bad("pdf", saved(IMAGE, "PDF"), "not an image in a known format"),
    bad("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image in a known format"),
    bad("heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 99, "not an image in a known format"),
    bad("zip", b"PK\x03\x04" + b"\0" * 99, "not an image in a known format"),
    *(bad(f"jpeg cut at {n} of 8", encoded(LARGE)[: len(encoded(LARGE)) * n // 8], "odd.jpg: ") for n in range(1, 8)),
    bad("jpeg without its last row", encoded(LARGE)[:-40], "cannot be decoded"),
    bad("progressive jpeg cut", saved(Image.fromarray(LARGE), "JPEG", progressive=True)[:-900], "cannot be decoded"),
    bad("jpeg start only", JPEG[:2], "odd.jpg: "),
    bad("jpeg with broken tables", JPEG.replace(b"\xff\xdb", b"\xff\xe5"), "cannot be decoded"),
    bad("jpeg without height", with_size(JPEG, 0, W), "odd.jpg: "),
    *(bad(f"png cut at {n} of 4", encoded(LARGE, "PNG")[: len(encoded(LARGE, "PNG")) * n // 4], "cannot be decoded", "odd.png") for n in range(1, 4)),
    bad("png kept and cut", encoded(LARGE, "PNG")[:-500], "cannot be decoded", "odd.png", options=KEEP),
    bad("png of no width", bomb(0, 5), "odd.png: ", "odd.png"),
    bad("png with a wrong checksum", encoded(LARGE, "PNG").replace(b"IDAT", b"IDAX"), "odd.png: ", "odd.png"),
    bad("tiff cut", encoded(LARGE, "TIFF")[:5000], "odd.tif: ", "odd.tif"),
    bad("tiff header only", encoded(LARGE, "TIFF")[:8], "odd.tif: ", "odd.tif"),
    bad("webp cut", encoded(LARGE, "WEBP")[:-200], "odd.webp: ", "odd.webp"),
    bad("bmp cut", encoded(LARGE, "BMP")[:9000], "odd.bmp: ", "odd.bmp"),
    bad("gif cut", saved(Image.fromarray(LARGE).quantize(99), "GIF")[:2000], "odd.gif: ", "odd.gif"),
    bad("bomb", bomb(60_000, 60_000), "refused before decoding: 60000 x 60000 are 3600 million pixels, the limit is 500"),
    bad("bomb called jpeg of the largest size", with_size(JPEG, 65_500, 65_500), "refused before decoding"),
    bad(
        "over a limit of its own",
        encoded(LARGE),
        "the limit is 0.1 million. Cut the picture into parts, or raise the limit: --max-megapixels.",
        options={"max_megapixels": 0.1},
    ),
    bad("side too long for jpeg", encoded(np.zeros((2, 65_501), np.uint8), "PNG"), "Use --image-format png", "odd.png"),
    Case("of another size", photo(JPEG, imageHeight=H * 2, imageWidth=W * 2), ERROR, ("imageHeight, imageWidth: the annotation is for a picture of 72 x 48 pixels, but odd.jpg has 36 x 24",)),
    Case("on its side", photo(JPEG, imageHeight=W, imageWidth=H), ERROR, ("for a picture of 24 x 36 pixels, but odd.jpg has 36 x 24",)),
]  # fmt: skip

SCALED = [("polygon", [[1, 1.5], [10, 1.5], [5.75, 9]])]
RESCALED = [
    Case("of another size, rescaled", photo(JPEG, imageHeight=H * 2, imageWidth=W * 2), WARNED, ("points scaled from 72 x 48 to 36 x 24 pixels",), SCALED, {"rescale": True}),
    Case("of its own size, rescaled", photo(JPEG, imageHeight=H, imageWidth=W), options={"rescale": True}),
    Case("over a limit, raised", photo(encoded(LARGE)), options={"max_megapixels": 0.12}),
    Case("side too long for jpeg, as png", photo(encoded(np.zeros((24, 65_501), np.uint8), "PNG"), "odd.png"), options={"image_format": "png"}),
]  # fmt: skip


@pytest.mark.parametrize(**named([*FORMATS, *BAD, *RESCALED]))
def test_pictures(tmp_path: Path, case: Case) -> None:
    run(case, tmp_path)
    if case.outcome != ERROR:
        (path,) = (tmp_path / "voc" / "JPEGImages").glob("odd.*")
        with Image.open(path) as image:
            assert image.mode in ("RGB", "L")
            assert image.format == {".jpg": "JPEG", ".png": "PNG"}[path.suffix] or case.name == "mpo"
            assert image.size[::-1] == read_mask_size(tmp_path)


def read_mask_size(folder: Path) -> tuple[int, ...]:
    with Image.open(folder / "voc" / "SegmentationClass" / "odd.png") as mask:
        return mask.size[::-1]


def as_folder(folder: Path) -> None:
    odd(folder)
    (folder / "odd.jpg").unlink()
    (folder / "odd.jpg").mkdir()


def as_pipe(folder: Path) -> None:
    odd(folder)
    (folder / "odd.jpg").unlink()
    os.mkfifo(folder / "odd.jpg")


def as_link(target: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        odd(folder)
        (folder / "odd.jpg").unlink()
        (folder / "odd.jpg").symlink_to(target)

    return make


NOT_FILES = [
    Case("a folder", as_folder, ERROR, ("odd.json: imagePath: there is no image 'odd.jpg'",)),
    Case("a pipe", as_pipe, ERROR, ("odd.jpg: is no ordinary file but a pipe. A file is needed there.",)),
    Case("endless", as_link("/dev/zero"), ERROR, ("odd.jpg: is no ordinary file but a device",)),
    Case("a terminal", as_link("/dev/tty"), ERROR, ("odd.jpg: ",)),
    Case("a link to nothing", as_link("gone.jpg"), ERROR, ("odd.jpg",)),
    Case("a link to itself", as_link("odd.jpg"), ERROR, ("odd.jpg",)),
    Case("a link to text", as_link("/etc/hostname"), ERROR, ("odd.jpg: ",)),
    Case("a link to a picture", as_link("good.jpg")),
]


@pytest.mark.skipif(os.name == "nt", reason="pipes and links of POSIX")
@pytest.mark.parametrize(**named(NOT_FILES))
def test_what_is_no_file(tmp_path: Path, case: Case) -> None:
    run(case, tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links and devices of POSIX")
def test_pictures_that_are_read_for_a_model_say_what_is_there_and_nothing_is_to_be_deleted(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "device.png").symlink_to("/dev/null")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "bomb.png").write_bytes(bomb(60_000, 60_000))
    for name, says in {
        "folder": "is a folder, not a file. A picture is needed there.",
        "device": "is no ordinary file but a device. A picture is needed there.",
        "loop": "cannot be read: Too many levels of symbolic links.",
        "bomb": "million pixels, the limit is 500 million. Cut the picture into parts.",
    }.items():
        path = tmp_path / f"{name}.png"
        with pytest.raises(ImageError) as caught:
            read_image(path)
        assert str(caught.value).startswith(f"{path}: ") and str(caught.value).endswith(says)
    with pytest.raises(ImageError, match=r"folder\.png: is a folder, not a file\. A file is needed there\."):
        read_picture(tmp_path / "folder.png")


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_pipe_among_pictures_without_annotation(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "good")
    os.mkfifo(tmp_path / "in" / "lone.jpg")
    report = convert(tmp_path / "in", tmp_path / "voc", unlabelled="background")
    assert [Path(failure.place).name for failure in report.failures] == ["lone.jpg"]
    assert report.images == 1


# EXIF orientation -> how an upright picture is stored
STORED_AS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}


def boxed() -> Pixels:
    pixels = np.full((H, W, 3), 30, np.uint8)
    pixels[2:10, 4:21] = (230, 200, 60)
    return pixels


def turned(orientation: int, file_format: str = "JPEG", **options: Any) -> bytes:
    return encoded(
        np.ascontiguousarray(STORED_AS[orientation](boxed())), file_format, exif=exif(orientation), **options
    )


TURNED: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    **{f"{n} of a jpeg": ("odd.jpg", turned(n, quality=95), {}) for n in range(1, 9)},
    **{f"{n} of a png": ("odd.png", turned(n, "PNG"), {}) for n in range(2, 9)},
    **{f"{n} of a webp": ("odd.webp", turned(n, "WEBP", lossless=True), {}) for n in (3, 6)},
    **{f"{n} before labelme 3.7": ("odd.jpg", turned(1), {"version": "3.6.9"}) for n in (1,)},
    **{f"{n} of a tiff": ("odd.tif", turned(n, "TIFF"), {}) for n in range(2, 9)},  # Pillow turns them itself
    "9 is none": ("odd.jpg", encoded(boxed(), exif=exif(9)), {}),
    "0 is none": ("odd.jpg", encoded(boxed(), exif=exif(0)), {}),
    "3 in the stored frame of labelme 3.6": ("odd.jpg", encoded(boxed(), exif=exif(3)), {"version": "3.6.16"}),
    "6, but annotated as stored": ("odd.jpg", encoded(boxed(), exif=exif(6)), {"imageHeight": H, "imageWidth": W}),
    "damaged exif": ("odd.jpg", encoded(boxed(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), {}),
    "exif of another kind": ("odd.jpg", encoded(boxed(), exif=b"Exif\0\0rubbish"), {}),
}


@pytest.mark.parametrize("sized", [True, False], ids=["size recorded", "size unknown"])
@pytest.mark.parametrize("name", sorted(TURNED))
def test_orientation(tmp_path: Path, name: str, sized: bool) -> None:
    file, data, fields = TURNED[name]
    if "as stored" in name and not sized:
        return
    size = {"imageHeight": H, "imageWidth": W} if sized else {}
    run(Case(name, photo(data, file, dog(BOX[1], BOX[0]), **(fields | size)), SILENT, drawn=[BOX]), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged EXIF
        with Image.open(tmp_path / "voc" / "JPEGImages" / "odd.jpg") as image:
            pixels = np.array(image.convert("RGB")).astype(int)
            assert image.getexif().get(0x0112, 1) not in range(2, 9)
    assert np.abs(pixels - boxed()).mean() < 6


SEEDS = {
    "jpeg": encoded(LARGE[:60, :80], exif=exif(6)),
    "progressive": saved(Image.fromarray(LARGE[:60, :80]), "JPEG", progressive=True),
    "png": encoded(LARGE[:60, :80], "PNG"),
    "png with palette": saved(Image.fromarray(LARGE[:60, :80]).quantize(9), "PNG"),
    "tiff": encoded(LARGE[:60, :80], "TIFF", exif=exif(6)),
    "webp": encoded(LARGE[:60, :80], "WEBP", exif=exif(6)),
    "gif": frames("GIF"),
    "bmp": encoded(LARGE[:60, :80], "BMP"),
}


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Cut, or with some bytes changed, most of them near the start."""
    changed = bytearray(data)
    if chance.random() < 0.3:
        del changed[chance.randrange(len(changed)) :]
    for _ in range(chance.choice((0, 1, 1, 2, 5, 20))):
        if changed:
            at = chance.randrange(min(len(changed), chance.choice((40, 300, len(data)))))
            changed[at] = chance.choice((0, 255, 127, 128, chance.randrange(256)))
    return bytes(changed)


@pytest.mark.parametrize("kind", sorted(SEEDS))
def test_damaged_pictures_are_refused_or_can_be_read(kind: str) -> None:
    chance = random.Random(kind)
    choices = [DrawOptions(image_format=name, max_megapixels=2) for name in ("jpg", "keep", "png")]
    for index in range(150):
        data = damaged(SEEDS[kind], chance)
        try:
            made = prepare(data, "odd.jpg", None, choices[index % 3])
        except ImageError as error:
            assert str(error).startswith("odd.jpg: ")
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF, which nobody needs
            with Image.open(io.BytesIO(made.data)) as image:
                image.load()
                assert image.size[::-1] == made.size


def test_damaged_pictures_stop_nobody(tmp_path: Path) -> None:
    chance = random.Random(0)
    annotated(tmp_path / "in", "good")
    for index in range(40):
        (tmp_path / "in" / f"x{index}.jpg").write_bytes(damaged(SEEDS["jpeg"], chance))
        fields = {"imageHeight": None, "imageWidth": None}
        (tmp_path / "in" / f"x{index}.json").write_text(json.dumps(content([dog()], f"x{index}.jpg") | fields))
    report = convert(tmp_path / "in", tmp_path / "voc")
    assert report.images + len(report.failures) == 41
    assert report.images > 1
    assert all(".jpg: " in str(failure) or "imageHeight" in str(failure) for failure in report.failures)


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 200])
def test_deep_pictures_are_stretched_as_a_whole(rows: int) -> None:
    values = np.linspace(-3, 9, rows * 7, dtype=np.float32).reshape(rows, 7)
    values[0, 1:4] = (np.nan, np.inf, -np.inf)
    made = prepare(encoded(values, "TIFF"), "odd.tif", None, DrawOptions(image_format="png"))
    with Image.open(io.BytesIO(made.data)) as image:
        grey = np.array(image)[..., 0]
    expected = ((np.nan_to_num(values).clip(-3, 9).astype(float) + 3) / 12 * 255 + 0.5).astype(int)
    expected[0, 1:4] = (0, 255, 0)
    np.testing.assert_array_equal(grey, expected)
