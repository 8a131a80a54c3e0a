"""What every writer of predictions promises; a new writer is tested by being listed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets import paint
from toolkit.labels.classmap import ClassMap
from toolkit.prediction.predictor import Prediction
from toolkit.prediction.writers import WRITERS

every_writer = pytest.mark.parametrize("kind", list(WRITERS))

MAPS = {
    "with background": ClassMap(("_background_", "disc", "bar")),
    "without background": ClassMap(("road", "sky", "tree")),
    "one class": ClassMap(("road",)),
}


def prediction(classes: ClassMap, size: tuple[int, int] = (30, 50)) -> Prediction:
    mask = np.zeros(size, np.uint8)
    if len(classes) > 1:
        mask[5:20, 4:18] = 1
        mask[8:28, 25:45] = len(classes) - 1
    return Prediction(mask, np.full(size, 0.75, np.float32), paint(mask, np.random.default_rng(0)), classes)


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
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        assert (content["imageHeight"], content["imageWidth"]) == made.mask.shape
    else:
        with Image.open(path) as image:
            image.load()
            assert (image.height, image.width) == made.mask.shape


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
def test_nothing_of_the_prediction_is_modified(tmp_path: Path, kind: str) -> None:
    made = prediction(MAPS["with background"])
    again = prediction(MAPS["with background"])
    for array in (made.mask, made.confidence, made.image):
        array.setflags(write=False)
    WRITERS.load(kind)(made, tmp_path / "x.png", tmp_path / "x")
    assert np.array_equal(made.mask, again.mask)
    assert np.array_equal(made.confidence, again.confidence)
    assert np.array_equal(made.image, again.image)


@every_writer
def test_a_picture_of_one_pixel_and_one_of_nothing_but_one_class(tmp_path: Path, kind: str) -> None:
    classes = MAPS["with background"]
    for size in ((1, 1), (1, 40), (33, 2)):
        mask = np.full(size, 2, np.uint8)
        made = Prediction(mask, np.ones(size, np.float32), np.zeros((*size, 3), np.uint8), classes)
        assert WRITERS.load(kind)(made, tmp_path / "x.png", tmp_path / f"{size[0]}").is_file()
