"""Predictions open in labelme and can be converted again: the ring closes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.datasets import Pixels, paint
from toolkit.labels.annotation import Annotation
from toolkit.labels.classmap import ClassMap
from toolkit.labels.labelme import read_labelme
from toolkit.prediction.predictor import Prediction
from toolkit.prediction.writers.labelme import write

WITH_BACKGROUND = ClassMap(("_background_", "disc", "bar"))
WITHOUT = ClassMap(("road", "tree", "sky"))


def smooth(seed: int) -> Pixels:
    """Blobs of three classes as a network sees them: curved, touching, with holes."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:150, 0:200]
    planes = [
        sum(
            np.sin(rows / rng.uniform(12, 30) + rng.uniform(0, 6)) * np.cos(columns / rng.uniform(12, 30)) for _ in "12"
        )
        for _ in range(3)
    ]
    return np.asarray(np.argmax(np.stack(planes), axis=0), np.uint8)


def written(tmp_path: Path, mask: Pixels, classes: ClassMap) -> tuple[Path, Annotation]:
    source = tmp_path / "photos" / "sub" / "bild ä.png"
    source.parent.mkdir(parents=True)
    image = paint(mask, np.random.default_rng(0))
    Image.fromarray(image).save(source)
    made = Prediction(mask, np.full(mask.shape, 0.875, np.float32), image, classes)
    path = write(made, source, tmp_path / "runs" / "predict-1" / "labelme" / "sub" / "bild ä")
    annotation = read_labelme(path)
    assert annotation is not None and annotation.findings == ()
    return source, annotation


def drawn(annotation: Annotation, classes: ClassMap) -> Pixels:
    """As labelme draws: Pillow's polygons in order on class 0."""
    assert annotation.size is not None
    canvas = Image.new("L", (annotation.size[1], annotation.size[0]), 0)
    for shape in annotation.shapes:
        number = classes.id_of(shape.label)
        assert number is not None and shape.kind == "polygon"
        ImageDraw.Draw(canvas).polygon(list(shape.points), fill=number, outline=number)
    return np.array(canvas)


@pytest.mark.parametrize("classes", [WITH_BACKGROUND, WITHOUT], ids=["with background", "without"])
@pytest.mark.parametrize("seed", range(5))
def test_drawn_again_the_shapes_are_the_predicted_mask(tmp_path: Path, seed: int, classes: ClassMap) -> None:
    mask = smooth(seed)
    _, annotation = written(tmp_path, mask, classes)
    again = drawn(annotation, classes)
    for k in range(3):
        union = ((mask == k) | (again == k)).sum()
        assert ((mask == k) & (again == k)).sum() / union > 0.98, classes.names[k]


def test_recorded_path_leads_from_the_file_to_the_picture(tmp_path: Path) -> None:
    source, annotation = written(tmp_path, smooth(0), WITH_BACKGROUND)
    assert isinstance(annotation.image, str)
    assert "\\" not in annotation.image and not Path(annotation.image).is_absolute()
    assert (annotation.path.parent / annotation.image).resolve() == source.resolve()


def test_recorded_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    _, annotation = written(tmp_path, smooth(0), WITH_BACKGROUND)
    assert annotation.size == (150, 200)


def test_every_shape_says_that_a_model_drew_it_and_how_sure_it_was(tmp_path: Path) -> None:
    _, annotation = written(tmp_path, smooth(1), WITH_BACKGROUND)
    assert annotation.shapes
    assert {shape.text for shape in annotation.shapes} == {"predicted by seg, mean confidence 0.88"}


def test_a_prediction_of_background_alone_has_no_shape(tmp_path: Path) -> None:
    _, annotation = written(tmp_path, np.zeros((20, 30), np.uint8), WITH_BACKGROUND)
    assert annotation.shapes == ()


def test_a_ring_keeps_its_hole(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:80, 0:80]
    distance = np.hypot(rows - 40, columns - 40)
    mask = ((distance < 35) & (distance > 15)).astype(np.uint8)
    mask[distance < 8] = 2
    _, annotation = written(tmp_path, mask, WITH_BACKGROUND)
    assert (drawn(annotation, WITH_BACKGROUND) == mask).mean() > 0.98


def test_specks_are_left_out(tmp_path: Path) -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[10:40, 10:40], mask[50:52, 50:52] = 1, 2
    _, annotation = written(tmp_path, mask, WITH_BACKGROUND)
    assert [shape.label for shape in annotation.shapes] == ["disc"]
