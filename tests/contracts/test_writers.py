"""What every writer of predictions promises; a new writer is tested by being listed."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.datasets import paint
from toolkit.errors import UsageError
from toolkit.labels.classmap import ClassMap
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers import WRITERS

every_writer = pytest.mark.parametrize("kind", list(WRITERS))

MAPS = {
    "with background": ClassMap(("_background_", "disc", "bar")),
    "without background": ClassMap(("road", "sky", "tree")),
    "one class": ClassMap(("road",)),
    "odd names": ClassMap(("=cmd|' /C calc'!A0", "../../up", "🚗 & <b>", 'a,"b"')),
    "as many as there can be": ClassMap(tuple(f"c{k}" for k in range(255))),
}


def prediction(classes: ClassMap, size: tuple[int, int] = (30, 50)) -> Prediction:
    H, W = size
    mask = np.zeros(size, np.uint8)
    if len(classes) > 1:
        mask[H // 6 : 2 * H // 3, W // 10 : W // 3] = 1
        mask[H // 4 : H, W // 2 :] = len(classes) - 1
    shares = np.random.default_rng(1).random((len(classes), H, W)).astype(np.float16)
    return Prediction(
        mask,
        paint(mask % 4, np.random.default_rng(0)),
        classes,
        sureness=(0.75,) * len(classes),
        model="unet, best.safetensors",
        certainties=np.full(size, 0.75, np.float32),
        shares=shares,
    )


def size_in(path: Path) -> tuple[int, int]:
    """(H, W) of what a file holds, by a reader that is not ours."""
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["imageHeight"], content["imageWidth"]
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            H, W = arrays["probabilities"].shape[1:]
            return H, W
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as tiff:
            return tiff.pages.first.imagelength, tiff.pages.first.imagewidth
    with Image.open(path) as image:
        image.load()
        return image.height, image.width


def content_of(made: Prediction) -> list[bytes]:
    return [array.tobytes() for array in (made.mask, made.image, made.confidence, made.probabilities)]


@every_writer
@pytest.mark.parametrize("classes", list(MAPS.values()), ids=list(MAPS))
def test_writes_the_one_file_that_it_names_and_that_can_be_read(tmp_path: Path, kind: str, classes: ClassMap) -> None:
    source = tmp_path / "in" / "a picture.v2.png"
    base = tmp_path / "out" / kind / "sub" / "a picture.v2"
    made = prediction(classes)
    path = WRITERS.load(kind)(made, source, base)
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert written == [path]
    assert path.parent == base.parent
    assert path.stem == "a picture.v2", "a dot in the name is no suffix"
    assert size_in(path) == made.size


@every_writer
def test_a_frame_of_a_film_has_no_file(tmp_path: Path, kind: str) -> None:
    path = WRITERS.load(kind)(prediction(MAPS["with background"]), None, tmp_path / "clip" / "000007")
    assert size_in(path) == (30, 50)


@every_writer
def test_replaces_the_file_of_an_earlier_call(tmp_path: Path, kind: str) -> None:
    write, base = WRITERS.load(kind), tmp_path / "name"
    classes = MAPS["with background"]
    first = write(prediction(classes, (30, 50)), tmp_path / "x.png", base)
    before = first.read_bytes()
    second = write(prediction(classes, (40, 60)), tmp_path / "x.png", base)
    assert second == first
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    assert second.read_bytes() != before


@every_writer
def test_the_same_prediction_gives_the_same_bytes(tmp_path: Path, kind: str) -> None:
    write, made = WRITERS.load(kind), prediction(MAPS["odd names"])
    first, second = (write(made, tmp_path / "x.png", tmp_path / name / "x") for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


@every_writer
def test_nothing_of_the_prediction_is_modified(tmp_path: Path, kind: str) -> None:
    made = prediction(MAPS["with background"])
    before = content_of(made)
    for array in (made.mask, made.confidence, made.image, made.probabilities):
        array.setflags(write=False)
    WRITERS.load(kind)(made, tmp_path / "x.png", tmp_path / "x")
    assert content_of(made) == before


@every_writer
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 2), (2, 3000)], ids=str)
def test_narrow_pictures(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    made = prediction(MAPS["with background"], size)
    assert size_in(WRITERS.load(kind)(made, tmp_path / "x.png", tmp_path / "x")) == size


@every_writer
def test_says_in_the_table_what_it_needs(tmp_path: Path, kind: str) -> None:
    entry, full = WRITERS.entry(kind), prediction(MAPS["with background"])
    spare = Prediction(
        full.mask,
        full.image,
        full.classes,
        full.sureness,
        full.model,
        certainties=full.confidence if entry.confidence else None,
        shares=full.probabilities if entry.probabilities else None,
    )
    assert WRITERS.load(kind)(spare, tmp_path / "x.png", tmp_path / "x").is_file()
    if entry.confidence or entry.probabilities:
        bare = Prediction(full.mask, full.image, full.classes, full.sureness)
        with pytest.raises(UsageError, match="asked for"):
            WRITERS.load(kind)(bare, tmp_path / "x.png", tmp_path / "y")
        assert [path.stem for path in tmp_path.iterdir()] == ["x"]
