"""Figures computed by hand, and by numpy from the same masks; a folder and its dataset give the same ones."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.annotations import SAMPLE, SIZE, Json, annotated, content, encoded, picture, shape, write_json
from tests.datasets import mask_of, stems_of, write_mask, write_voc
from toolkit.conversion.convert import convert
from toolkit.errors import DataError, DatasetError, UsageError
from toolkit.labels.classmap import voc_palette
from toolkit.progress import Progress
from toolkit.tally.chart import draw_chart
from toolkit.tally.figures import ClassFigures, Spread, Statistics, octaves
from toolkit.tally.statistics import statistics

PIXELS = SIZE[0] * SIZE[1]


def box(label: str, left: int, top: int, right: int, bottom: int) -> Json:
    """A rectangle; both corners are part of it."""
    return shape(label, [[left, top], [right, bottom]], "rectangle")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures: 100 pixels of `cat` with 20 of `dog` on it and 4 ignored ones; 50 of `cat`, and a point."""
    root = tmp_path / "photos"
    annotated(root, "a", shapes=[box("cat", 0, 0, 9, 9), box("dog", 0, 0, 3, 4), box("__ignore__", 30, 20, 31, 21)])
    annotated(root, "b", shapes=[box("cat", 0, 0, 9, 4), shape("nose", [[20, 12]], "point")])
    return root


def by_name(found: Statistics) -> dict[str, ClassFigures]:
    return {figures.name: figures for figures in found.classes}


def test_shapes_are_counted_by_the_pixels_seen_of_them(folder: Path) -> None:
    found = statistics(folder)
    classes = by_name(found)
    assert list(classes) == ["_background_", "cat", "dog", "nose"]
    assert [figures.index for figures in found.classes] == [0, 1, 2, 3]
    assert classes["cat"] == ClassFigures("cat", 1, 2, 2, 80 + 50, Spread(2, 50, 65.0, 80))
    assert classes["dog"] == ClassFigures("dog", 2, 1, 1, 20, Spread(1, 20, 20.0, 20))
    assert found.ignored == ClassFigures("__ignore__", 255, 1, 1, 4, Spread(1, 4, 4.0, 4))
    nose = classes["nose"].pixels
    assert 81 <= nose <= 97  # a disc of radius 5
    assert classes["_background_"].pixels == 2 * PIXELS - 130 - 20 - 4 - nose
    assert found.pixels == 2 * PIXELS - 4
    assert found.share(classes["cat"]) == pytest.approx(130 / (2 * PIXELS - 4))
    assert (found.images, found.shapes, found.kinds) == (2, 5, {"rectangle": 4, "point": 1})
    assert found.shapes_per_image == Spread(2, 2, 2.5, 3)
    assert found.image_sizes == {SIZE: 2}
    assert found.ok


def test_a_folder_and_the_dataset_made_of_it_have_the_same_pixels(tmp_path: Path) -> None:
    before = statistics(SAMPLE)
    convert(SAMPLE, tmp_path / "voc")
    after = statistics(tmp_path / "voc")
    assert before.images == after.images == 25
    assert before.image_sizes == after.image_sizes
    for drawn, counted in zip(before.classes, after.classes, strict=True):
        assert (drawn.name, drawn.index, drawn.images) == (counted.name, counted.index, counted.images)
        assert drawn.pixels == counted.pixels > 0
    assert before.without_shapes == after.without_shapes == 1
    assert after.shape_sizes is not None
    assert sum(after.size_octaves) == after.shape_sizes.count == after.shapes


def test_workers_change_nothing(folder: Path, tmp_path: Path) -> None:
    for index in range(8):
        annotated(folder, f"more_{index}", label=f"label {index % 3}", seed=index)
    assert statistics(folder, workers=2) == statistics(folder)
    convert(folder, tmp_path / "voc")
    assert statistics(tmp_path / "voc", workers=2) == statistics(tmp_path / "voc")


def test_a_wholly_covered_shape_has_size_zero_and_is_in_no_image(tmp_path: Path) -> None:
    annotated(tmp_path, shapes=[box("under", 2, 2, 3, 3), box("over", 0, 0, 9, 9)])
    found = statistics(tmp_path)
    assert by_name(found)["under"] == ClassFigures("under", 2, 1, 0, 0, Spread(1, 0, 0.0, 0))
    assert found.size_octaves == (1, 0, 0, 0, 0, 0, 0, 1)  # none; 64 to 127


def test_a_list_gives_order_other_names_and_unused_classes(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.yaml"
    labels.write_text("- tree\n- pet: [cat, dog]\n", encoding="utf-8")
    found = statistics(folder, labels=labels)
    assert [(c.name, c.index, c.shapes) for c in found.classes] == [
        ("_background_", 0, 0),
        ("tree", 1, 0),
        ("pet", 2, 3),
        ("nose", 3, 1),
    ]
    assert by_name(found)["pet"].pixels == 150


def test_holes_are_background(tmp_path: Path) -> None:
    annotated(tmp_path, shapes=[box("sea", 0, 0, 35, 23), box("_background_", 0, 0, 4, 4)])
    found = statistics(tmp_path)
    assert by_name(found)["_background_"] == ClassFigures("_background_", 0, 1, 1, 25, Spread(1, 25, 25.0, 25))
    assert by_name(found)["sea"].pixels == PIXELS - 25


def test_what_cannot_be_read_is_named_and_the_rest_is_counted(folder: Path) -> None:
    (folder / "broken.json").write_text('{"shapes": [', encoding="utf-8")
    write_json(folder / "nothing.json", content([], "gone.jpg", imageHeight=None))
    write_json(folder / "huge.json", content([], "gone.jpg", imageHeight=10**6, imageWidth=10**6))
    write_json(folder / "other.json", {"name": "x"})
    write_json(folder / "no_picture.json", content([shape("cat")], "gone.jpg"))
    (folder / "lonely.jpg").write_bytes(encoded(picture()))
    found = statistics(folder)
    assert not found.ok
    assert sorted(Path(item.place).name for item in found.failures) == ["broken.json", "huge.json", "nothing.json"]
    assert (found.images, found.not_labelme, found.unlabelled, found.without_picture) == (3, 1, 1, 3)


def test_a_size_that_is_not_recorded_is_the_upright_one_of_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    write_json(tmp_path / "a.json", content([shape()], "a.jpg", imageHeight=None, imageWidth=None))
    (tmp_path / "a.jpg").write_bytes(encoded(picture(), exif=exif))
    assert statistics(tmp_path).image_sizes == {SIZE[::-1]: 1}


def test_nothing_to_count(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no labelme annotation"):
        statistics(tmp_path)
    write_json(tmp_path / "a.json", content([], None, imageHeight=None))
    with pytest.raises(DataError, match=r"a\.json: imagePath"):
        statistics(tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        statistics(tmp_path / "nowhere")


def test_a_dataset_is_counted_like_numpy_does(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    found = statistics(root)
    masks = {stem: mask_of(root, stem) for side in ("train", "val") for stem in stems_of(root, side)}
    each = np.stack([np.bincount(mask.ravel(), minlength=256) for mask in masks.values()])
    assert [figures.pixels for figures in found.classes] == each.sum(0)[:3].tolist()
    assert [figures.images for figures in found.classes] == (each > 0).sum(0)[:3].tolist()
    assert (found.ignored.pixels, found.ignored.images) == (each.sum(0)[255], 7)
    assert found.shapes_per_image is found.shape_sizes is None
    assert {name: side.images for name, side in found.sides.items()} == {"train": 5, "val": 2}
    assert found.sides["val"].class_pixels == tuple(each[5:].sum(0)[:3].tolist())
    assert found.middle_sizes() == ((40, 48), (49, 42), (55, 38))  # 1920, 2058 and 2090 pixels


@pytest.mark.parametrize("deep", [False, True])
def test_instances_of_a_dataset(tmp_path: Path, deep: bool) -> None:
    root = write_voc(tmp_path, train=1, val=1)
    mask = np.zeros((10, 10), np.uint8)
    mask[:4], mask[4:6], mask[9] = 1, 2, 255
    numbers = np.zeros((10, 10), np.uint16 if deep else np.uint8)
    numbers[:4, :3], numbers[:4, 3:], numbers[4:6, :5] = 1, 2, 3
    numbers[9] = 4
    numbers[6, 0] = 255  # in bytes: no instance
    write_mask(root, "pic_0", mask)
    (root / "SegmentationObject").mkdir()
    Image.fromarray(numbers).save(root / "SegmentationObject" / "pic_0.png")
    found = statistics(root)
    assert by_name(found)["disc"].sizes == Spread(2, 12, 20.0, 28)
    assert by_name(found)["bar"].sizes == Spread(1, 10, 10.0, 10)
    assert by_name(found)["_background_"].shapes == int(deep)
    assert found.shapes_per_image == Spread(1, 3 + deep, 3.0 + deep, 3 + deep)


def test_bad_masks_are_named_and_the_rest_is_counted(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    write_mask(root, "pic_0", np.full((4, 5), 7, np.uint8))
    (root / "SegmentationClass" / "pic_1.png").write_bytes(b"no picture")
    (root / "SegmentationClass" / "pic_2.png").unlink()
    (root / "JPEGImages" / "pic_3.png").unlink()
    found = statistics(root)
    texts = sorted(str(item).removeprefix(f"{root}/") for item in found.failures)
    assert found.images == 3
    assert texts == [
        "JPEGImages: 'pic_2' has no mask in SegmentationClass.",
        "SegmentationClass/pic_0.png: holds the value 7 (20 pixels), but class_names.txt lists 3 classes "
        "(ids 0 to 2; 255 is ignore). Add the missing class to the list or correct the mask.",
        "SegmentationClass/pic_1.png: not an image in a known format. Replace the file.",
        "SegmentationClass: 'pic_3' has no picture in JPEGImages.",
    ]


def test_classes_without_a_list_are_called_by_their_ids(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    (root / "class_names.txt").unlink()
    assert [figures.name for figures in statistics(root).classes] == ["class 0", "class 1", "class 2"]


def test_labels_are_for_annotations_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"class_names\.txt"):
        statistics(write_voc(tmp_path), labels=tmp_path / "labels.txt")


def test_progress_hears_of_every_file(folder: Path) -> None:
    class Counting(Progress):
        stages: dict[str, int] = {}  # noqa: RUF012

        def begin(self, what: str, total: int | None) -> None:
            self.stages[what] = total or 0

    statistics(folder, progress=Counting())
    assert Counting.stages == {"Reading annotations": 2, "Drawing shapes": 2}


def test_octaves() -> None:
    assert octaves(np.array([0, 1, 2, 3, 4, 7, 8, 1023, 1024])) == (1, 1, 2, 2, 1, 0, 0, 0, 0, 0, 1, 1)
    assert octaves(np.array([], np.int64)) == ()


@pytest.mark.parametrize("file_format", ["png", "svg"])
def test_no_label_breaks_the_picture(tmp_path: Path, file_format: str) -> None:
    labels = ["$\\frac{", "$x_1^2$", "猫", "한국", "عربى", "😀", "%s", "x" * 300, "a_b^c", "\\"]
    annotated(tmp_path, shapes=[box(label, i, i, i + 2, i + 2) for i, label in enumerate(labels)])
    found = statistics(tmp_path)
    drawn = draw_chart(found, file_format)
    assert drawn == draw_chart(found, file_format)
    assert drawn.startswith({"png": b"\x89PNG", "svg": b"<?xml"}[file_format])


@pytest.mark.parametrize("classes", [2, 100])
def test_the_picture_grows_with_the_classes(tmp_path: Path, classes: int) -> None:
    annotated(tmp_path, shapes=[box(f"class {i:03}", i % 30, i // 30, i % 30, i // 30) for i in range(1, classes)])
    path = tmp_path / "chart.png"
    path.write_bytes(draw_chart(statistics(tmp_path)))
    with Image.open(path) as image:
        assert image.width == 1430
        assert (image.height > 2000) == (classes == 100)
        drawn = {color for _, color in image.convert("RGB").getcolors(1 << 20) or []}
    shown = {tuple(color) for color in voc_palette()[:classes].tolist()}
    assert len(shown & drawn) == classes
