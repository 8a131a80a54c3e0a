"""Annotations made by other people, and the masks that labelme or another tool made of them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.annotations import SHARED
from tests.oracles import labelme_label
from toolkit.labels.annotation import Annotation
from toolkit.labels.classmap import ClassMap
from toolkit.labels.labelme import read_labelme
from toolkit.labels.raster import Drawing, draw_classes, instance_numbers

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real data is not here")

# Pillow before 11.2, which made these masks, drew single border pixels otherwise.
OLD_PILLOW = 0.00004


def read(path: Path) -> Annotation:
    annotation = read_labelme(path)
    assert annotation is not None
    assert annotation.findings == ()
    return annotation


def size_of(annotation: Annotation) -> tuple[int, int]:
    assert annotation.size is not None
    return annotation.size


def drawn(annotation: Annotation, ids: dict[str, int]) -> npt.NDArray[np.uint8]:
    return draw_classes([(shape, ids[shape.label]) for shape in annotation.shapes], size_of(annotation))


def expected(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.array(image)


def numbered(annotation: Annotation, ids: dict[str, int]) -> npt.NDArray[np.generic]:
    drawing = Drawing(annotation.shapes, size_of(annotation))
    return drawing.instances([ids[shape.label] for shape in annotation.shapes], instance_numbers(annotation.shapes))


@pytest.mark.parametrize("stem", ["2011_000003", "2011_000006", "2011_000025"])
def test_class_and_instance_masks_of_labelme_itself(stem: str) -> None:
    made = SHARED / "voc2011_expected"
    classes = ClassMap.from_labels(made / "labels.txt")
    annotation = read(SHARED / "voc2011" / f"{stem}.json")
    mask = drawn(annotation, {name: classes.id_of(name) or 0 for name in (*classes.names, "__ignore__")})
    instances = numbered(annotation, {name: classes.id_of(name) or 0 for name in (*classes.names, "__ignore__")})
    assert np.count_nonzero(mask != expected(made / "SegmentationClass" / f"{stem}.png")) <= 1
    assert np.count_nonzero(instances != expected(made / "SegmentationObject" / f"{stem}.png")) <= 1


def test_class_list_is_read_as_labelme_reads_it() -> None:
    made = SHARED / "voc2011_expected"
    assert ClassMap.from_labels(made / "labels.txt") == ClassMap.read(made / "class_names.txt")


def test_the_cat() -> None:
    mask = drawn(read(SHARED / "cat" / "1.json"), {"cat": 1})
    np.testing.assert_array_equal(mask, expected(SHARED / "cat" / "expected_1.png"))


def test_the_tutorial_of_labelme() -> None:
    annotation = read(SHARED / "tutorial" / "apc2016_obj3.json")
    made = SHARED / "tutorial" / "expected"
    classes = ClassMap.derive(shape.label for shape in annotation.shapes)
    assert classes == ClassMap.read(made / "label_names.txt")
    mask = drawn(annotation, {name: index for index, name in enumerate(classes.names)})
    assert np.mean(mask != expected(made / "label.png")) < OLD_PILLOW


def test_floor_lines() -> None:
    paths = sorted((SHARED / "floor_lines" / "before").glob("*.json"))
    assert len(paths) == 30
    for path in paths:
        mask = drawn(read(path), {"line": 1})
        assert np.mean(mask != expected(SHARED / "floor_lines" / "expected" / f"{path.stem}.png")) < OLD_PILLOW


@pytest.mark.parametrize("stem", ["0000", "0005", "0010"])
def test_rails_of_linestrips(stem: str) -> None:
    annotation = read(SHARED / "rails" / f"{stem}.json")
    mask = drawn(annotation, {"L1": 1, "L2": 2, "R1": 3, "R2": 4})
    # a few pixels more than labelme 4 drew: the joints are round now
    assert np.count_nonzero(mask != expected(SHARED / "rails" / "expected" / f"{stem}.png")) <= 6


@pytest.mark.parametrize(
    "folder", ["cat", "controllers", "fruit", "primitives", "teaware", "tutorial", "video_frames", "voc2011"]
)
def test_every_file_is_drawn_as_labelme_draws_it(folder: str) -> None:
    paths = sorted((SHARED / folder).rglob("*.json"))[:6]
    assert paths
    for path in paths:
        annotation = read(path)
        names = sorted({shape.label for shape in annotation.shapes} - {"__ignore__"})
        ids = {name: index for index, name in enumerate(names, start=1)} | {"__ignore__": 255}
        classes, instances = labelme_label(annotation.shapes, size_of(annotation), ids)
        mask = drawn(annotation, ids)
        np.testing.assert_array_equal(mask, classes)
        np.testing.assert_array_equal(numbered(annotation, ids), np.where(classes == 255, 0, instances))
