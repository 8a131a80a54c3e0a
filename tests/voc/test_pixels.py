"""Image and mask files become the arrays they stand for, or an error with the file's name."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tests.annotations import encoded, picture
from toolkit.errors import ImageError
from toolkit.voc.pixels import encode_instances, encode_mask, read_image, read_mask, write_mask


def saved(folder: Path, pixels: npt.NDArray[Any], name: str = "m.png", **options: Any) -> Path:
    path = folder / name
    Image.fromarray(pixels).save(path, **options)
    return path


@settings(deadline=None, derandomize=True, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20)), st.booleans())
def test_a_mask_is_read_back_as_written(tmp_path: Path, mask: npt.NDArray[np.uint8], palette: bool) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(encode_mask(mask, palette=palette))
    np.testing.assert_array_equal(read_mask(path), mask)
    with Image.open(path) as image:
        assert image.mode == ("P" if palette else "L")
    write_mask(path, mask)
    np.testing.assert_array_equal(read_mask(path), mask)


def test_other_ways_to_store_ids(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 0], [1, 1, 0]], np.uint8)
    sixteen = saved(tmp_path, ids.astype(np.uint16), "16.png")
    one_bit = tmp_path / "1.png"
    Image.fromarray(ids.astype(np.bool_)).save(one_bit)
    small_palette = tmp_path / "p.png"
    image = Image.fromarray(ids)
    image.putpalette([9, 9, 9, 200, 0, 0])
    image.save(small_palette, bits=1)
    for path in (sixteen, one_bit, small_palette):
        mask = read_mask(path)
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, ids)


@pytest.mark.parametrize("channels", [3, 4, 2])
def test_a_mask_of_colours_is_refused(tmp_path: Path, channels: int) -> None:
    path = saved(tmp_path, np.zeros((4, 4, channels), np.uint8))
    with pytest.raises(ImageError, match=r"m\.png: a mask holds one class id a pixel"):
        read_mask(path)


def test_ids_beyond_a_byte_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, np.array([[3, 300]], np.uint16))
    with pytest.raises(ImageError, match=r"m\.png: holds the value 300"):
        read_mask(path)


@pytest.mark.parametrize(("count", "mode"), [(0, "P"), (254, "P"), (255, "I;16"), (40_000, "I;16")])
def test_instances_keep_their_numbers(tmp_path: Path, count: int, mode: str) -> None:
    instances = np.array([[0, 1, count]], np.uint16)
    path = tmp_path / "i.png"
    path.write_bytes(
        encode_instances(
            Image.fromarray(instances.astype(np.int32)) if count > 255 else Image.fromarray(instances.astype(np.uint8)),
            count,
        )
    )
    with Image.open(path) as image:
        assert image.mode == mode
        np.testing.assert_array_equal(np.array(image), instances)


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encoded(picture(0, (200, 200))[..., 0], "PNG")[:200], "cannot be decoded"),
        (b"", "not an image"),
        (b"text", "not an image"),
    ],
    ids=["cut", "empty", "text"],
)
def test_damaged_files_are_named(tmp_path: Path, read: Any, data: bytes, message: str) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(data)
    with pytest.raises(ImageError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    small = encoded(np.zeros((1, 1), np.uint8), "PNG")
    header = struct.pack(">4sIIBBBBB", b"IHDR", 30_000, 30_000, 8, 0, 0, 0, 0)
    path.write_bytes(small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:])
    before = Image.MAX_IMAGE_PIXELS
    for read in (read_image, read_mask):
        with pytest.raises(ImageError, match=r"m\.png: refused before decoding: 30000 x 30000 are 900 million"):
            read(path)
    assert before == Image.MAX_IMAGE_PIXELS  # Pillow's own limit belongs to the program around


def test_a_large_picture_below_the_limit_is_read_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, np.zeros((100, 100), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6000)
    assert read_image(path).shape == (100, 100, 3)


def test_deep_pictures_are_stretched_to_their_range(tmp_path: Path) -> None:
    ramp = np.linspace(1000, 5000, 64).astype(np.uint16).reshape(8, 8)
    floats = ramp.astype(np.float32) / 7
    floats[0, 0] = np.nan
    flat = np.full((8, 8), 900, np.uint16)
    stretched = read_image(saved(tmp_path, ramp))[..., 0]
    np.testing.assert_allclose(stretched.ravel(), np.linspace(0, 255, 64), atol=1)
    assert read_image(saved(tmp_path, floats, "f.tif")).max() == 255
    assert not read_image(saved(tmp_path, flat)).any()


@pytest.mark.parametrize("size", [(300, 401), (1, 60_000), (60_000, 1), (109, 400), (110, 400)])
def test_large_pictures_come_whole(tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """They are copied in bands; Pillow's own limit, which a program may have set, is not asked for each."""
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    path = saved(tmp_path, pixels)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    image = read_image(path)
    np.testing.assert_array_equal(image, pixels)
    image[:] = 0  # a caller's own


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    """As Exif 2.32 defines the values: which side of the stored picture is the top, and which the left."""
    upright = np.random.default_rng(2).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, np.ascontiguousarray(stored), exif=exif)
    np.testing.assert_array_equal(read_image(path), upright)
