"""Pictures of every kind arrive upright, beside a mask of the same frame."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.annotations import SIZE, Pixels, annotated, content, encoded, picture, shape, write_json
from toolkit.conversion.convert import convert
from toolkit.conversion.report import ConvertReport

BOX = [[4, 2], [20, 9]]
H, W = SIZE

# EXIF orientation -> how an upright picture is stored
STORED_AS = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}


def oriented(pixels: npt.NDArray[Any], orientation: int, file_format: str = "JPEG", **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(np.ascontiguousarray(pixels), file_format, exif=exif, **options)


def with_bright_box() -> Pixels:
    upright = np.full((H, W, 3), 30, np.uint8)
    upright[2:10, 4:21] = (230, 200, 60)
    return upright


def converted(folder: Path, name: str, data: bytes, *, image_format: str = "jpg", **fields: Any) -> ConvertReport:
    """Convert one picture whose annotation boxes the bright part."""
    source = folder / "labelme"
    source.mkdir(exist_ok=True)
    (source / name).write_bytes(data)
    write_json(source / "a.json", content([shape("box", BOX, "rectangle")], name) | fields)
    return convert(source, folder / "voc", image_format=image_format)


def written(folder: Path, suffix: str = ".jpg") -> tuple[Image.Image, Pixels]:
    """The picture and the mask that came out."""
    with Image.open(folder / "voc" / "JPEGImages" / f"a{suffix}") as image:
        image.load()
    with Image.open(folder / "voc" / "SegmentationClass" / "a.png") as mask:
        assert mask.mode == "P"
        return image, np.array(mask)


def assert_the_box_is_under_the_mask(folder: Path, suffix: str = ".jpg", *, darkest_inside: int = 140) -> None:
    image, mask = written(folder, suffix)
    bright = np.array(image.convert("L"))
    assert bright.shape == mask.shape
    assert bright[mask == 1].min() >= darkest_inside
    assert np.median(bright[mask == 0]) < 80
    assert image.getexif().get(0x0112, 1) == 1
    assert (mask == 1).sum() == 8 * 17


def test_upright_jpeg_bytes_are_copied_untouched(tmp_path: Path) -> None:
    for name, data in (
        ("colour", encoded(with_bright_box(), quality=60, comment=b"keep me")),
        ("grey", encoded(with_bright_box()[..., 0])),
        ("tagged", oriented(with_bright_box(), 1)),
    ):
        folder = tmp_path / name
        folder.mkdir()
        assert converted(folder, "a.jpg", data).remarks == ()
        assert (folder / "voc" / "JPEGImages" / "a.jpg").read_bytes() == data


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("sized", [True, False], ids=["size recorded", "size unknown"])
def test_orientation_of_a_jpeg_beside(tmp_path: Path, orientation: int, sized: bool) -> None:
    data = oriented(STORED_AS[orientation](with_bright_box()), orientation, quality=95)
    size: dict[str, Any] = {} if sized else {"imageHeight": None, "imageWidth": None}
    assert converted(tmp_path, "a.jpg", data, **size).ok
    assert_the_box_is_under_the_mask(tmp_path)


@pytest.mark.parametrize(("file_format", "suffix"), [("PNG", ".png"), ("WEBP", ".webp")])
@pytest.mark.parametrize("orientation", [3, 6])
def test_orientation_of_other_formats(tmp_path: Path, file_format: str, suffix: str, orientation: int) -> None:
    data = oriented(STORED_AS[orientation](with_bright_box()), orientation, file_format)
    assert converted(tmp_path, f"a{suffix}", data, image_format="keep").ok
    assert_the_box_is_under_the_mask(tmp_path)


@pytest.mark.parametrize(
    ("version", "embedded"), [("5.5.0", True), ("3.6.16", False)], ids=["embedded", "before labelme 3.7"]
)
def test_the_stored_frame_is_kept_where_labelme_showed_it(tmp_path: Path, version: str, embedded: bool) -> None:
    data = oriented(with_bright_box(), 3, quality=95)  # labelme drew the box on the stored frame here
    more: dict[str, Any] = {"imageData": base64.b64encode(data).decode()} if embedded else {}
    assert converted(tmp_path, "a.jpg", data, version=version, **more).ok
    assert_the_box_is_under_the_mask(tmp_path)


def test_the_recorded_size_decides_whether_a_picture_was_turned(tmp_path: Path) -> None:
    data = oriented(with_bright_box(), 6, quality=95)
    assert converted(tmp_path, "a.jpg", data, imageHeight=H, imageWidth=W).ok  # what was annotated lies on its side
    assert_the_box_is_under_the_mask(tmp_path)


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def inputs() -> dict[str, tuple[str, bytes]]:
    upright = with_bright_box()
    image = Image.fromarray(upright)
    deep = upright[..., 0].astype(np.uint16) * 200
    alpha = np.dstack([upright, np.full((H, W), 128, np.uint8)])
    return {
        "png": ("a.png", encoded(upright, "PNG")),
        "png named jpg": ("a.jpg", encoded(upright, "PNG")),
        "rgba": ("a.png", encoded(alpha, "PNG")),
        "grey and alpha": ("a.png", saved(image.convert("LA"), "PNG")),
        "palette": ("a.png", saved(image.quantize(4), "PNG")),
        "black and white": ("a.png", saved(image.convert("L").point(lambda v: 255 if v > 99 else 0, "1"), "PNG")),
        "cmyk": ("a.jpg", saved(image.convert("CMYK"), "JPEG", quality=95)),
        "bmp": ("a.bmp", encoded(upright, "BMP")),
        "tiff": ("a.tif", encoded(upright, "TIFF")),
        "webp": ("a.webp", encoded(upright, "WEBP")),
        "gif": ("a.gif", saved(image.quantize(8), "GIF")),
        "16 bit png": ("a.png", encoded(deep, "PNG")),
        "16 bit tiff": ("a.tif", encoded(deep, "TIFF")),
        "float tiff": ("a.tif", encoded(deep.astype(np.float32) / 1000, "TIFF")),
    }


@pytest.mark.parametrize("kind", sorted(inputs()))
def test_every_kind_of_picture_becomes_an_upright_jpeg(tmp_path: Path, kind: str) -> None:
    name, data = inputs()[kind]
    report = converted(tmp_path, name, data)
    assert report.failures == ()
    image, _ = written(tmp_path)
    assert (image.format, image.mode) == ("JPEG", "RGB")
    assert_the_box_is_under_the_mask(tmp_path)
    deep = "16 bit" in kind or "float" in kind
    assert any("more than 8 bits" in remark.reason for remark in report.remarks) == deep


def test_pixels_survive_the_way_to_jpeg(tmp_path: Path) -> None:
    converted(tmp_path, "a.png", encoded(with_bright_box(), "PNG"))
    image, _ = written(tmp_path)
    difference = np.abs(np.array(image).astype(int) - with_bright_box())
    assert difference.max() <= 20
    assert difference.mean() < 1


def test_keep_leaves_a_png_as_it_is(tmp_path: Path) -> None:
    data = encoded(with_bright_box(), "PNG")
    converted(tmp_path, "a.png", data, image_format="keep")
    assert (tmp_path / "voc" / "JPEGImages" / "a.png").read_bytes() == data
    assert_the_box_is_under_the_mask(tmp_path, ".png")


def test_embedded_data_comes_before_the_file_beside(tmp_path: Path) -> None:
    inner = encoded(picture(1))
    converted(tmp_path, "a.jpg", encoded(picture(2)), imageData=base64.b64encode(inner).decode())
    assert (tmp_path / "voc" / "JPEGImages" / "a.jpg").read_bytes() == inner


@pytest.mark.parametrize(
    ("recorded", "beside", "remarked"),
    [
        ("pics\\b.jpg", "pics/b.jpg", False),
        ("..\\labelme\\b.jpg", "b.jpg", False),
        ("C:\\Users\\me\\b.jpg", "b.jpg", True),
        ("/home/me/b.jpg", "b.jpg", True),
        ("gone/b.jpg", "b.jpg", True),
        ("renamed.jpg", "a.jpg", True),
        ("renamed.jpg", "a.PNG", True),
        ("", "a.jpeg", True),
        (None, "a.jpg", True),
    ],
)
def test_where_a_picture_is_looked_for(tmp_path: Path, recorded: str | None, beside: str, remarked: bool) -> None:
    source = tmp_path / "labelme"
    path = source / beside
    path.parent.mkdir(parents=True)
    path.write_bytes(encoded(picture(5), "PNG" if beside.endswith("PNG") else "JPEG"))
    write_json(source / "a.json", content([shape()], recorded))
    report = convert(source, tmp_path / "voc")
    assert report.images == 1
    image, _ = written(tmp_path)
    assert np.abs(np.array(image).astype(int) - picture(5)).mean() < 8
    assert [path.name in remark.reason for remark in report.remarks] == [True] * remarked


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"imageHeight": 240, "imageWidth": 360}, "for a picture of 360 x 240 pixels, but a.jpg has 36 x 24"),
        ({"imageHeight": W, "imageWidth": H}, "for a picture of 24 x 36 pixels, but a.jpg has 36 x 24"),
        ({"imageData": base64.b64encode(b"no image").decode()}, "imageData: not an image in a known format"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    annotated(tmp_path / "labelme", "good")
    report = converted(tmp_path, "a.jpg", encoded(picture()), **fields)
    (failure,) = report.failures
    assert failure.place == str(tmp_path / "labelme" / "a.json")
    assert reason in failure.reason
    assert report.images == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty (0 bytes)"),
        (b"hello", "not an image in a known format"),
        (encoded(picture(0, (300, 300)))[:3000], "cannot be decoded"),
        (encoded(picture(0, (300, 300)), "PNG")[:3000], "cannot be decoded"),
    ],
    ids=["empty", "text", "cut jpeg", "cut png"],
)
def test_damaged_pictures_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    annotated(tmp_path / "labelme", "good")
    report = converted(tmp_path, "a.jpg", data, imageHeight=None, imageWidth=None)
    (failure,) = report.failures
    assert "a.jpg" in str(failure)
    assert reason in str(failure)
    assert not (tmp_path / "voc" / "SegmentationClass" / "a.png").exists()
    assert not (tmp_path / "voc" / "JPEGImages" / "a.jpg").exists()
