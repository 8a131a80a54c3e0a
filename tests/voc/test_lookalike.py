"""Pictures that look alike are found, others are not, whatever format and size they are stored in."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.annotations import SHARED
from toolkit.errors import ImageError
from toolkit.voc.lookalike import CORRELATION, HASH_DISTANCE, Fingerprint, fingerprint, fingerprint_of, lookalikes

Pixels = npt.NDArray[np.uint8]


def scene(seed: int, size: tuple[int, int] = (240, 320)) -> Pixels:
    """uint8 (H, W, 3): blots of colour, no two seeds alike."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.array(Image.fromarray(small).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def stored(pixels: Pixels, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def test_the_same_scene_in_other_formats_sizes_and_light_is_one_group() -> None:
    one = scene(1)
    exif = Image.Exif()
    exif[0x0112] = 6
    versions = [
        stored(one, "PNG"),
        stored(one, "JPEG", quality=30),
        stored(np.array(Image.fromarray(one).resize((97, 71))), "BMP"),
        stored((one * 0.8 + 20).astype(np.uint8), "WEBP", quality=50),
        stored(np.rot90(one), "JPEG", quality=90, exif=exif),  # shown upright: turned clockwise by a quarter
        stored(np.array(Image.fromarray(one).convert("L")), "PNG"),
    ]
    others = [stored(scene(seed), "JPEG") for seed in range(2, 8)]
    prints = [fingerprint(data) for data in (*others[:3], *versions, *others[3:])]
    assert lookalikes(prints) == [list(range(3, 3 + len(versions)))]


def test_empty_pictures_are_not_called_alike() -> None:
    rng = np.random.default_rng(0)
    blanks = [np.full((50, 60, 3), value, np.uint8) for value in (0, 0, 128, 255)]
    blanks += [rng.integers(120, 124, (50, 60, 3), np.uint8) for _ in range(4)]
    assert lookalikes([fingerprint_of(blank) for blank in blanks]) == []


def test_groups_equal_those_of_comparing_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.voc.lookalike._BLOCK", 7)  # more than one block, the last one not full
    rng = np.random.default_rng(3)
    base = [scene(seed, (60, 80)).astype(int) for seed in range(6)]
    pictures = [
        (base[rng.integers(6)] + rng.normal(0, rng.choice([2, 25]), (60, 80, 3))).clip(0, 255) for _ in range(40)
    ]
    prints = [fingerprint_of(picture.astype(np.uint8)) for picture in pictures]
    group = list(range(40))
    for i in range(40):
        for j in range(i):
            a, b = prints[i], prints[j]
            bits = int.from_bytes(a.bits, "big") ^ int.from_bytes(b.bits, "big")
            alike = np.corrcoef(list(a.thumb), list(b.thumb))[0, 1] >= CORRELATION
            if bits.bit_count() <= HASH_DISTANCE and alike:
                group = [group[j] if one == group[i] else one for one in group]
    expected = sorted(m for root in set(group) if len(m := [i for i in range(40) if group[i] == root]) > 1)
    assert expected
    assert lookalikes(prints) == expected


def test_a_long_chain_is_one_group() -> None:
    panorama = scene(5, (300, 900))
    frames = [panorama[:, left : left + 400] for left in range(0, 400, 4)]
    assert lookalikes([fingerprint_of(frame) for frame in frames]) == [list(range(len(frames)))]
    assert lookalikes([fingerprint_of(frames[0]), fingerprint_of(frames[-1])]) == []


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(stored(scene(0), "JPEG")[:400])
    with pytest.raises(ImageError, match=r"a\.jpg"):
        fingerprint(path)
    with pytest.raises(ImageError, match=r"b\.jpg"):
        fingerprint(tmp_path / "b.jpg")


def test_nothing_and_one_picture_have_no_likes() -> None:
    assert lookalikes([]) == []
    assert lookalikes([Fingerprint(bytes(8), bytes(range(256)), False)]) == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="real data is not here")
def test_frames_of_a_film_are_alike_and_photographs_are_not() -> None:
    frames = [fingerprint(path) for path in sorted((SHARED / "video_frames").glob("*.jpg"))]
    assert lookalikes(frames) == [list(range(len(frames)))]
    for name in ("fruit", "teaware", "controllers"):
        assert lookalikes([fingerprint(path) for path in sorted((SHARED / name).rglob("*.jpg"))]) == []
