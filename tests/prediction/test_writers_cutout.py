"""Pictures with what the model did not find cut away."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from toolkit.labels.classmap import ClassMap
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers import colorpng, cutout
from toolkit.prediction.writers.colorpng import write_color_png

Pixels = npt.NDArray[np.uint8]
IMAGE = np.random.default_rng(0).integers(1, 256, (20, 30, 3)).astype(np.uint8)


def cut(tmp_path: Path, mask: Pixels, names: tuple[str, ...]) -> Pixels:
    classes = ClassMap(names)
    path = cutout.write(Prediction(mask, IMAGE, classes, (1.0,) * len(names)), None, tmp_path / "x")
    with Image.open(path) as picture:
        assert picture.mode == "RGBA"
        return np.array(picture)


def test_what_is_cut_away_is_gone_and_not_just_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[3:9, 5:25], mask[12:, 8:12], mask[:2] = 1, 2, 255
    kept = (mask == 1) | (mask == 2)
    rgba = cut(tmp_path, mask, ("_background_", "disc", "bar"))
    assert np.array_equal(rgba[..., 3], kept * 255)
    assert np.array_equal(rgba[kept][:, :3], IMAGE[kept])
    assert not rgba[~kept].any()
    monkeypatch.setattr(cutout, "_BAND_BYTES", 1)
    assert np.array_equal(cut(tmp_path, mask, ("_background_", "disc", "bar")), rgba)


def test_without_a_background_class_everything_is_kept_but_ignored_pixels(tmp_path: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[:, 10:], mask[15:] = 1, 255
    rgba = cut(tmp_path, mask, ("road", "sky"))
    assert np.array_equal(rgba[..., 3], (mask != 255) * 255)


def test_background_need_not_be_class_0(tmp_path: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[:, 10:] = 1
    assert np.array_equal(cut(tmp_path, mask, ("disc", "_background_"))[..., 3], (mask == 0) * 255)


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    channels=st.sampled_from([3, 4]),
    rows=st.integers(1, 41),
    seed=st.integers(0, 99),
    fast=st.booleans(),
)
def test_pillow_reads_what_was_written_band_by_band(
    size: tuple[int, int], channels: int, rows: int, seed: int, fast: bool
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, channels)).astype(np.uint8)
    file = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        if not fast:
            patch.setattr(colorpng, "fast_zlib", None)
        write_color_png(file, size, channels, (pixels[top : top + rows] for top in range(0, size[0], rows)))
    with Image.open(file) as picture:
        assert np.array_equal(np.asarray(picture), pixels)
