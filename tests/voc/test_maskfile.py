"""Counting a mask file gives what Pillow and numpy give, whoever wrote it and whatever is wrong with it."""

import io
import os
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from tests.voc.pngs import assembled, chunk, filtered, png
from toolkit.errors import ImageError
from toolkit.voc import maskfile
from toolkit.voc import png as png_room
from toolkit.voc.maskfile import MaskPixels, mask_pixels, read_ids
from toolkit.voc.pixels import encode_mask, read_mask

Mask = NDArray[np.uint8]


def scene(high: int = 256, size: tuple[int, int] = (37, 53)) -> Mask:
    """Runs of many lengths, across the ends of rows, too."""
    rng = np.random.default_rng(high)
    values = np.repeat(rng.integers(0, high, size[0] * size[1]), rng.integers(1, 30, size[0] * size[1]))
    return values[: size[0] * size[1]].reshape(size).astype(np.uint8)


def counted(values: NDArray[np.unsignedinteger]) -> MaskPixels:
    return tuple((value, int(pixels)) for value, pixels in enumerate(np.bincount(values.ravel())) if pixels)


def by_pillow(path: Path) -> MaskPixels:
    with Image.open(path) as image:
        return counted(np.array(image).astype(np.uint16))


def saved(mask: Mask, mode: str = "L", colors: int = 256, **options: object) -> bytes:
    image = Image.fromarray(mask)
    if mode == "P":
        image.putpalette(list(range(colors)) * 3)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def by_opencv(mask: Mask) -> bytes:
    return cv2.imencode(".png", mask)[1].tobytes()


QUICK: dict[str, bytes] = {
    "of seg": encode_mask(scene()),
    "of seg, grey": encode_mask(scene(), palette=False),
    "of Pillow, palette": saved(scene(), "P"),
    "of Pillow, grey": saved(scene()),
    "of Pillow, 16 colours": saved(scene(16), "P", 16),
    "of Pillow, 4 colours": saved(scene(4), "P", 4),
    "of Pillow, 2 colours": saved(scene(2), "P", 2),
    "of Pillow, optimized": saved(scene(9), "P", optimize=True),
    "of OpenCV": by_opencv(scene()),
    **{f"filter {kind}": png(scene(), filters=(kind,)) for kind in range(5)},
    "filters in turn": png(scene(), filters=(3, 0, 4, 1, 2)),
    "filters at last": png(scene(), filters=(*(0,) * 30, 2)),
    **{f"{depth} bits": png(scene(1 << depth), depth=depth) for depth in (1, 2, 4)},
    **{f"{depth} bits, odd end": png(scene(1 << depth), depth=depth, padding=1) for depth in (1, 2, 4)},
    **{
        f"{depth} bits, filtered": png(scene(1 << depth), depth=depth, filters=(1, 4), padding=1) for depth in (1, 2, 4)
    },
    "one pixel": png(np.array([[7]], np.uint8)),
    "one column": png(scene(size=(99, 1)), filters=(1,)),
    "one row": png(scene(size=(1, 99))),
    "noise": png(np.random.default_rng(0).integers(0, 256, (37, 53), np.uint8)),
    "noise, filtered": png(np.random.default_rng(0).integers(0, 256, (37, 53), np.uint8), filters=(1,)),
    "many IDAT": png(scene(), parts=40),
    "empty IDAT": png(scene(size=(3, 3)), parts=90),
    "harmless chunks": png(scene(), extra=chunk(b"gAMA", bytes(4)) + chunk(b"tIME", bytes(7))),
    "more behind the end": png(scene()) + b"more",
}

SLOW: dict[str, bytes] = {
    "interlaced": png(scene(), interlaced=True),
    "interlaced grey": png(scene(), interlaced=True, palette=False, filters=(4, 1)),
    "16 bits": png(scene().astype(np.uint16), depth=16, palette=False),
    **{f"{depth} bits grey": png(scene(1 << depth), depth=depth, palette=False) for depth in (1, 2, 4)},
    "transparency": png(scene(), extra=chunk(b"tRNS", b"\0")),
    "text": png(scene(), extra=chunk(b"tEXt", b"Software\0other")),
    "no palette": png(scene()).replace(chunk(b"PLTE", bytes(range(256)) * 3), b""),
    "no end": png(scene())[:-12],
    "two streams": assembled((3, 4), zlib.compress(filtered(scene(size=(3, 4)), 8, (0,))) + zlib.compress(b"x")),
    "rows too few": assembled((30, 40), zlib.compress(bytes(41 * 29))),  # Pillow makes up the last one
    "rows too many": assembled((3, 4), zlib.compress(bytes(5 * 4))),
    "a byte too many": assembled((3, 4), zlib.compress(bytes(5 * 3 + 1))),
}

DAMAGED: dict[str, bytes] = {
    "cut in the data": png(scene())[:-60],
    "cut in the header": png(scene())[:20],
    "nothing": b"",
    "wrong checksum of the stream": assembled((30, 40), zlib.compress(bytes(41 * 30))[:-1] + b"\x77"),
    "no checksum of the stream": assembled((30, 40), zlib.compress(bytes(41 * 30))[:-4]),
    "no stream": assembled((30, 40), b"this is not deflated"),
    "a filter that does not exist": assembled((3, 4), zlib.compress(b"\x05abcd" * 3)),
    "a palette's checksum": png(scene()).replace(chunk(b"PLTE", bytes(range(256)) * 3)[-4:], b"oops"),
    "a header too large": assembled((30_000, 40_000), zlib.compress(bytes(41 * 30))),
    "a header of nothing": assembled((0, 40), zlib.compress(b"")),
    "colours": saved(np.zeros((3, 4, 3), np.uint8)),
    "ids beyond a byte": png(np.full((3, 4), 300, np.uint16), depth=16, palette=False),
    "text for a picture": b"no picture",
}


def outcome(count: Callable[[Path], MaskPixels], path: Path) -> MaskPixels | str:
    try:
        return count(path)
    except ImageError as error:
        return str(error)


def by_decoding(path: Path) -> MaskPixels:
    return counted(read_mask(path))


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maskfile, "read_mask", lambda path: pytest.fail(f"{path} was decoded"))


@pytest.mark.usefixtures("no_decoding")
@pytest.mark.parametrize("band", [40, 300, 1 << 18])
@pytest.mark.parametrize("name", QUICK)
def test_common_kinds_are_counted_without_decoding(
    tmp_path: Path, name: str, band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maskfile, "_BAND_BYTES", max(band, 100 if "row" in name else 54))
    (tmp_path / "m.png").write_bytes(QUICK[name])
    assert mask_pixels(tmp_path / "m.png") == by_pillow(tmp_path / "m.png")


@pytest.mark.usefixtures("no_decoding")
@pytest.mark.parametrize("name", QUICK)
def test_without_the_fast_library_too(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_room, "fast_zlib", None)
    monkeypatch.setattr(maskfile, "_PIECE_BYTES", 7)
    (tmp_path / "m.png").write_bytes(QUICK[name])
    assert mask_pixels(tmp_path / "m.png") == by_pillow(tmp_path / "m.png")


@pytest.mark.parametrize("name", SLOW)
def test_other_kinds_are_decoded(tmp_path: Path, name: str) -> None:
    (tmp_path / "m.png").write_bytes(SLOW[name])
    assert mask_pixels(tmp_path / "m.png") == by_pillow(tmp_path / "m.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maskfile, "read_mask", lambda _: np.full((1, 2), 3, np.uint8))
        assert mask_pixels(tmp_path / "m.png") == ((3, 2),)


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_named_as_when_the_mask_is_decoded(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(DAMAGED[name])
    found = outcome(mask_pixels, path)
    assert isinstance(found, str)
    assert found == outcome(by_decoding, path)
    assert found.startswith(f"{path}: ")


@settings(deadline=None, derandomize=True, max_examples=150)
@given(data=st.data())
def test_random_masks_of_all_writers(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "random.png"
    shape = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    depth = data.draw(st.sampled_from((1, 2, 4, 8)))
    mask = data.draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, (1 << depth) - 1)))
    writers: dict[str, Callable[[], bytes]] = {
        "seg": lambda: encode_mask(mask, palette=data.draw(st.booleans())),
        "Pillow": lambda: saved(mask, data.draw(st.sampled_from("LP")), 1 << depth),
        "OpenCV": lambda: by_opencv(mask),
        "the book": lambda: png(
            mask,
            depth=depth,
            filters=data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=5)),
            parts=data.draw(st.integers(1, 5)),
            interlaced=data.draw(st.booleans()),
            padding=data.draw(st.integers(0, 1)),
        ),
    }
    path.write_bytes(writers[data.draw(st.sampled_from(sorted(writers)))]())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maskfile, "_BAND_BYTES", data.draw(st.sampled_from((21, 64, 1 << 18))))
        patch.setattr(maskfile, "_FEWEST_IN_A_RUN", data.draw(st.sampled_from((0, 8))))
        assert mask_pixels(path) == counted(mask)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(data=st.data())
def test_no_damage_is_taken_for_a_mask(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Wherever decoding refuses a file, or gives other pixels, counting does the same."""
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    file = bytearray(QUICK[data.draw(st.sampled_from(sorted(QUICK)))])
    if data.draw(st.booleans()):
        stream = bytearray(zlib.compress(filtered(scene(), 8, data.draw(st.sampled_from(((0,), (1,), (2, 4)))))))
        stream[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        file = bytearray(assembled((37, 53), bytes(stream)))  # the chunk's own checksum fits
    elif data.draw(st.booleans()):
        file[data.draw(st.integers(0, len(file) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del file[data.draw(st.integers(0, len(file))) :]
    path.write_bytes(file)
    assert outcome(mask_pixels, path) == outcome(by_decoding, path)


@pytest.mark.usefixtures("no_decoding")
@pytest.mark.parametrize("filters", [(0,), (1,), (2,)])
def test_a_large_mask_is_never_held(tmp_path: Path, filters: tuple[int, ...]) -> None:
    path = tmp_path / "m.png"
    row = bytes([filters[0]]) + bytes(4000)
    path.write_bytes(assembled((8000, 4000), zlib.compress(row * 8000, 1), palette=False))
    tracemalloc.start()
    try:
        assert mask_pixels(path) == ((0, 8000 * 4000),)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_file_too_large_to_be_read_at_once_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maskfile, "_LARGEST_FILE", 100)
    (tmp_path / "m.png").write_bytes(png(scene()))
    assert mask_pixels(tmp_path / "m.png") == counted(scene())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.png")
    with pytest.raises(ImageError, match=r"m\.png: is no ordinary file"):
        mask_pixels(tmp_path / "m.png")


def same_as_decoded(path: Path) -> None:
    try:
        expected = read_mask(path)
    except ImageError as error:
        with pytest.raises(ImageError) as raised:
            read_ids(path)
        assert str(raised.value) == str(error)
        return
    found = read_ids(path)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    found[:] = 0  # a caller's own


@pytest.mark.parametrize("band", [54, 1 << 18])
@pytest.mark.parametrize("name", [*QUICK, *SLOW, *DAMAGED])
def test_ids_are_those_of_decoding(tmp_path: Path, name: str, band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maskfile, "_BAND_BYTES", max(band, 100 if "row" in name else 54))
    (tmp_path / "m.png").write_bytes((QUICK | SLOW | DAMAGED)[name])
    same_as_decoded(tmp_path / "m.png")


@pytest.mark.usefixtures("no_decoding")
@pytest.mark.parametrize("name", ["of seg", "of seg, grey", "of Pillow, palette", "many IDAT", "filter 0"])
def test_ids_without_filters_are_read_without_decoding(tmp_path: Path, name: str) -> None:
    (tmp_path / "m.png").write_bytes(QUICK[name])
    np.testing.assert_array_equal(read_ids(tmp_path / "m.png"), scene())
