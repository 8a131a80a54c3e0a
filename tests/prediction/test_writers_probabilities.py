"""Probabilities and confidence, as numpy, GDAL and others read them."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from toolkit.labels.classmap import ClassMap
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers import confidence, npz, tiff

Shares = npt.NDArray[np.float16]


def made(shares: Shares, names: tuple[str, ...] | None = None) -> Prediction:
    K, H, W = shares.shape
    return Prediction(
        mask=np.zeros((H, W), np.uint8),
        image=np.zeros((H, W, 3), np.uint8),
        classes=ClassMap(names or tuple(f"c{k}" for k in range(K))),
        sureness=(1.0,) * K,
        shares=shares,
    )


def random_shares(K: int, H: int = 12, W: int = 17) -> Shares:
    return np.random.default_rng(K).random((K, H, W)).astype(np.float16)


@pytest.mark.parametrize("K", [1, 2, 3, 4, 255])
def test_numpy_and_tifffile_read_the_very_numbers(tmp_path: Path, K: int) -> None:
    shares = random_shares(K)
    with np.load(npz.write(made(shares), None, tmp_path / "x"), allow_pickle=False) as arrays:
        assert sorted(arrays) == ["classes", "probabilities"]
        assert arrays["probabilities"].dtype == np.float16
        assert np.array_equal(arrays["probabilities"], shares)
        assert arrays["classes"].tolist() == [f"c{k}" for k in range(K)]
    planes = tifffile.imread(tiff.write(made(shares), None, tmp_path / "x"))
    assert planes.dtype == np.float16
    assert np.array_equal(planes.reshape(shares.shape), shares)


def test_a_tiff_names_its_bands_where_gdal_looks_and_in_its_description(tmp_path: Path) -> None:
    names = ("_background_", "é & <b>", "🚗", "bell\x07\ud800", 'a"b')
    with tifffile.TiffFile(tiff.write(made(random_shares(5), names), None, tmp_path / "x")) as file:
        page = file.pages.first
        assert page.tags["PlanarConfiguration"].value == 2
        assert page.tags["SampleFormat"].value == (3,) * 5  # IEEE floating point
        assert json.loads(page.tags["ImageDescription"].value)["classes"] == list(names)
        items = ElementTree.fromstring(page.tags[42112].value)
    assert [(item.get("sample"), item.get("role"), item.text) for item in items] == [
        (str(k), "description", name)
        for k, name in enumerate(("_background_", "é & <b>", "🚗", "bell", 'a"b'))  # what XML can hold
    ]


@pytest.mark.parametrize("write", [npz.write, tiff.write], ids=["npz", "tiff"])
def test_probabilities_in_a_mapped_file_are_not_copied_as_a_whole(tmp_path: Path, write: Callable[..., Path]) -> None:
    shape = (8, 3000, 1000)
    mapped = np.memmap(tmp_path / "map", np.float16, "w+", shape=shape)
    mapped[:] = np.float16(0.25)
    prediction = made(mapped)
    tracemalloc.start()
    path = write(prediction, None, tmp_path / "x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > mapped.nbytes
    assert peak < mapped.nbytes / 2


def test_probabilities_of_any_order_in_memory(tmp_path: Path) -> None:
    shares = np.asfortranarray(random_shares(3))
    with np.load(npz.write(made(shares), None, tmp_path / "x")) as arrays:
        assert np.array_equal(arrays["probabilities"], shares)
    assert np.array_equal(tifffile.imread(tiff.write(made(shares), None, tmp_path / "x")), shares)


def test_confidence_is_rounded_to_255_steps(tmp_path: Path) -> None:
    values = np.array([[0, 1, 0.5, 1 / 255, 1.4 / 255], [1.6 / 255, 0.999, np.nan, 1.0000001, -1e-9]], np.float32)
    prediction = Prediction(
        np.zeros((2, 5), np.uint8), np.zeros((2, 5, 3), np.uint8), ClassMap(("a",)), (1.0,), certainties=values
    )
    with Image.open(confidence.write(prediction, None, tmp_path / "x")) as grey:
        assert grey.mode == "L"
        assert np.asarray(grey).tolist() == [[0, 255, 128, 1, 1], [2, 255, 0, 255, 0]]
