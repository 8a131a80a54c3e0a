"""Classes laid over pictures: colours, lines, and that a huge picture takes no more memory than its result."""

import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import toolkit.voc.overlay
from toolkit.labels.classmap import ClassMap
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers.options import WriteOptions
from toolkit.prediction.writers.overlay import write
from toolkit.voc.overlay import overlay

CLASSES = ClassMap(("_background_", "disc", "bar"))
RED, GREEN = (128, 0, 0), (0, 128, 0)  # of ids 1 and 2 in the VOC colour map
Pixels = npt.NDArray[np.uint8]


def by_hand(image: Pixels, mask: Pixels, classes: ClassMap, opacity: float, reach: int) -> npt.NDArray[np.float64]:
    """The same pixel by pixel, in floats."""
    H, W = mask.shape
    shown = image.astype(np.float64)
    for i in range(H):
        for j in range(W):
            if mask[i, j] in (classes.background, 255):
                continue
            color = classes.colors[mask[i, j]]
            shown[i, j] = image[i, j] * (1 - opacity) + color * opacity
            near = mask[max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1]
            if reach and (near != mask[i, j]).any():
                shown[i, j] = color
    return shown


def random_scene(size: tuple[int, int], seed: int = 0) -> tuple[Pixels, Pixels]:
    rng = np.random.default_rng(seed)
    mask = rng.choice(np.array([0, 1, 2, 255], np.uint8), (size[0] // 9 + 1, size[1] // 9 + 1))
    mask = mask.repeat(9, 0).repeat(9, 1)[: size[0], : size[1]]
    return rng.integers(0, 256, (*size, 3)).astype(np.uint8), np.ascontiguousarray(mask)


@pytest.mark.parametrize("classes", [CLASSES, ClassMap(("road", "sky", "tree"))], ids=["background", "none"])
@pytest.mark.parametrize(("opacity", "outline"), [(0.5, 1), (0.3, 0), (0.0, 2), (1.0, 0), (0.75, 4), (0.5, 1000)])
def test_is_what_its_description_says_however_it_is_cut_into_bands(
    monkeypatch: pytest.MonkeyPatch, classes: ClassMap, opacity: float, outline: int
) -> None:
    image, mask = random_scene((41, 33))
    expected = by_hand(image, mask, classes, opacity, outline)
    whole = overlay(image, mask, classes, opacity=opacity, outline=outline)
    assert np.abs(whole - expected).max() <= 0.51
    monkeypatch.setattr(toolkit.voc.overlay, "_BAND_PIXELS", 1)
    assert np.array_equal(overlay(image, mask, classes, opacity=opacity, outline=outline), whole)


def test_the_line_grows_with_the_picture() -> None:
    for side, reach in ((100, 1), (1500, 2), (6000, 10)):
        mask = np.zeros((4, side), np.uint8)
        mask[:, side // 2 :] = 1
        shown = overlay(np.zeros((4, side, 3), np.uint8), mask, CLASSES)
        assert (shown[0] == RED).all(axis=1).sum() == reach


def test_memory_is_taken_for_a_band_only() -> None:
    image, mask = random_scene((2000, 3000))
    tracemalloc.start()
    overlay(image, mask, CLASSES)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < image.nbytes + (8 << 20)


def test_the_file_shows_the_options_in_their_colours(tmp_path: Path) -> None:
    mask = np.zeros((64, 96), np.uint8)
    mask[16:48, 16:48], mask[16:48, 64:] = 1, 2
    made = Prediction(mask, np.full((64, 96, 3), (0, 0, 200), np.uint8), CLASSES, (1.0,) * 3)
    shown = np.asarray(Image.open(write(made, None, tmp_path / "a", WriteOptions(opacity=1.0)))).astype(int)
    for at, color in (((4, 4), (0, 0, 200)), ((32, 32), RED), ((32, 80), GREEN)):
        assert np.abs(shown[at] - color).max() <= 6, "JPEG, quality 95"
    bare = np.asarray(Image.open(write(made, None, tmp_path / "b", WriteOptions(opacity=0.0, outline=0)))).astype(int)
    assert np.abs(bare - (0, 0, 200)).max() <= 6


@pytest.mark.parametrize(("size", "suffix"), [((1, 65_500), ".jpg"), ((2, 65_501), ".png"), ((65_501, 2), ".png")])
def test_what_no_jpeg_can_hold_becomes_a_png(tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    image, mask = random_scene(size)
    path = write(Prediction(mask, image, CLASSES, (1.0,) * 3), None, tmp_path / "long")
    assert path.name == f"long{suffix}"
    with Image.open(path) as shown:
        assert shown.size == size[::-1]
        if suffix == ".png":
            assert np.array_equal(np.asarray(shown), overlay(image, mask, CLASSES))
