"""Predictions open in labelme and can be converted again: the ring closes."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.datasets import Pixels, mask_of, paint
from tests.oracles import labelme_read
from toolkit.conversion.convert import convert
from toolkit.labels.annotation import Annotation
from toolkit.labels.classmap import ClassMap
from toolkit.labels.labelme import read_labelme
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers.labelme import write
from toolkit.prediction.writers.options import WriteOptions

WITH_BACKGROUND = ClassMap(("_background_", "disc", "bar"))
WITHOUT = ClassMap(("road", "tree", "sky"))
CAMVID = Path(__file__).parents[3] / "shared" / "data" / "camvid"


def smooth(seed: int) -> Pixels:
    """Blobs of three classes as a network sees them: curved, touching, with holes."""
    rng = np.random.default_rng(seed)
    planes = [cv2.GaussianBlur(rng.standard_normal((150, 200)), (0, 0), 8) for _ in range(3)]
    return np.asarray(np.argmax(np.stack(planes), axis=0), np.uint8)


def prediction(mask: Pixels, classes: ClassMap, **fields: Any) -> Prediction:
    image = paint(np.minimum(mask, 3), np.random.default_rng(0))
    sureness = (0.625, 0.875, float("nan"))
    return Prediction(mask, image, classes, sureness=sureness, model="unet in best.safetensors", **fields)


def written(
    tmp_path: Path, mask: Pixels, classes: ClassMap, options: WriteOptions = WriteOptions(), **fields: Any
) -> tuple[Path, Annotation]:
    source = tmp_path / "photos" / "sub" / "bild ä.png"
    source.parent.mkdir(parents=True, exist_ok=True)
    made = prediction(mask, classes, **fields)
    Image.fromarray(made.image).save(source)
    path = write(made, source, tmp_path / "runs" / "predict-1" / "labelme" / "sub" / "bild ä", options)
    annotation = read_labelme(path)
    assert annotation is not None and annotation.findings == ()
    return source, annotation


def converted(tmp_path: Path, annotation: Annotation, classes: ClassMap) -> Pixels:
    """What `seg convert` makes of it, with the ids of `classes`; 255 is what has no class."""
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{name}\n" for name in classes.names), encoding="utf-8")
    out = tmp_path / "voc"
    assert convert(annotation.path.parents[1], out, labels=labels, image_format="keep").ok
    shift = 0 if classes.background == 0 else 1  # convert always has background
    return (
        mask_of(out, "sub_bild ä" if (out / "SegmentationClass" / "sub_bild ä.png").is_file() else "bild ä")
    ) - shift


@pytest.mark.parametrize("classes", [WITH_BACKGROUND, WITHOUT], ids=["with background", "without"])
@pytest.mark.parametrize("seed", range(3))
def test_converted_again_the_shapes_are_the_predicted_mask(tmp_path: Path, seed: int, classes: ClassMap) -> None:
    mask = smooth(seed)
    _, annotation = written(tmp_path, mask, classes)
    again = converted(tmp_path, annotation, classes)
    for k in range(3):
        union = ((mask == k) | (again == k)).sum()
        assert ((mask == k) & (again == k)).sum() / union >= 0.995, classes.names[k]


@pytest.mark.parametrize("classes", [WITH_BACKGROUND, WITHOUT], ids=["with background", "without"])
@pytest.mark.parametrize(
    "options", [WriteOptions(shapes="mask"), WriteOptions(tolerance=0, min_area=0)], ids=["mask", "polygon"]
)
def test_bitmaps_and_whole_outlines_are_exact(tmp_path: Path, options: WriteOptions, classes: ClassMap) -> None:
    mask = smooth(1)
    rng = np.random.default_rng(0)
    noise = rng.random(mask.shape) < 0.02
    mask[noise] = rng.integers(0, 3, int(noise.sum()), dtype=np.uint8)
    _, annotation = written(tmp_path, mask, classes, options)
    assert {shape.kind for shape in annotation.shapes} == {options.shapes}
    np.testing.assert_array_equal(converted(tmp_path, annotation, classes), mask)


@pytest.mark.skipif(not CAMVID.is_dir(), reason="the shared data are not here")
def test_real_masks_of_thin_things_come_back(tmp_path: Path) -> None:
    classes = ClassMap.read(CAMVID / "class_names.txt")
    with Image.open(CAMVID / "SegmentationClass" / "0016E5_04650.png") as image:
        mask = np.array(image)
    _, annotation = written(tmp_path, np.where(mask == 255, 0, mask).astype(np.uint8), classes)
    again = converted(tmp_path, annotation, classes)
    mask = np.where(mask == 255, 0, mask)
    for k in np.unique(mask):
        assert ((mask == k) & (again == k)).sum() / ((mask == k) | (again == k)).sum() >= 0.995, classes.names[k]


@pytest.mark.parametrize("shapes", ["polygon", "mask"])
def test_the_strict_reader_of_labelme_takes_it_as_it_is(tmp_path: Path, shapes: str) -> None:
    source, annotation = written(tmp_path, smooth(2), WITH_BACKGROUND, WriteOptions(shapes=shapes))
    theirs = labelme_read(annotation.path)
    assert theirs.image_data == source.read_bytes()
    assert theirs.flags == {"predicted": True}
    assert [item["shape_type"] for item in theirs.shapes] == [shapes] * len(annotation.shapes)
    assert theirs.other_data == {}
    require_labelme_7(json.loads(annotation.path.read_text(encoding="utf-8")))


def require_labelme_7(content: dict[str, Any]) -> None:
    """The rules of labelme 7.1 to 7.9, which runs on Python 3.12 and later only."""
    assert all(type(content[key]) is int for key in ("imageHeight", "imageWidth"))
    for shape in content["shapes"]:
        assert type(shape["label"]) is str and type(shape["description"]) is str
        assert shape["group_id"] is None and shape["flags"] == {}
        assert all(type(value) is float and np.isfinite(value) for point in shape["points"] for value in point)
        if shape["shape_type"] == "mask":
            assert len(shape["points"]) == 2 and type(shape["mask"]) is str
        else:
            assert shape["shape_type"] == "polygon" and len(shape["points"]) >= 3 and shape["mask"] is None
        assert all(0 <= x < content["imageWidth"] and 0 <= y < content["imageHeight"] for x, y in shape["points"])


def test_labelme_itself_opens_it(tmp_path: Path) -> None:
    pytest.importorskip("labelme._label_file", reason="labelme 6 is not installed")
    _, annotation = written(tmp_path, smooth(0), WITH_BACKGROUND, WriteOptions(shapes="mask"))
    code = (
        "import sys; from labelme._label_file import read_label_file; "
        "read = read_label_file(sys.argv[1]); print(len(read.shapes), read.image_path)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(annotation.path)],
        capture_output=True,
        text=True,
        check=True,
        env={"QT_QPA_PLATFORM": "offscreen", "PYTHONUTF8": "1"},
    )
    assert done.stdout.strip() == f"{len(annotation.shapes)} ../../../../photos/sub/bild ä.png"


def test_converted_from_elsewhere_it_says_once_that_nobody_has_looked_and_no_more(tmp_path: Path) -> None:
    _, annotation = written(tmp_path, smooth(0), WITH_BACKGROUND)
    assert annotation.predicted is True
    report = convert(tmp_path / "runs" / "predict-1" / "labelme", tmp_path / "voc")
    assert [remark.code for remark in report.remarks] == ["unreviewed"]


def test_recorded_path_leads_from_the_file_to_the_picture(tmp_path: Path) -> None:
    source, annotation = written(tmp_path, smooth(0), WITH_BACKGROUND)
    assert isinstance(annotation.image, str)
    assert "\\" not in annotation.image and not Path(annotation.image).is_absolute()
    assert (annotation.path.parent / annotation.image).resolve() == source.resolve()


def test_a_linked_picture_keeps_its_own_name(tmp_path: Path) -> None:
    store = tmp_path / "store" / "8f3a"
    store.parent.mkdir()
    Image.new("RGB", (200, 150)).save(store, "PNG")
    source = tmp_path / "photos" / "a.png"
    source.parent.mkdir()
    source.symlink_to(store)
    path = write(prediction(smooth(0), WITH_BACKGROUND), source, tmp_path / "out" / "a")
    assert json.loads(path.read_text(encoding="utf-8"))["imagePath"] == "../photos/a.png"


def test_recorded_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    _, annotation = written(tmp_path, smooth(0), WITH_BACKGROUND)
    assert annotation.size == (150, 200)


def test_a_frame_of_a_film_is_written_beside_its_annotation(tmp_path: Path) -> None:
    made = prediction(smooth(0), WITH_BACKGROUND)
    path = write(made, None, tmp_path / "film" / "frame.0007")
    assert sorted(file.name for file in path.parent.iterdir()) == ["frame.0007.jpg", "frame.0007.json"]
    assert path.name == "frame.0007.json"
    theirs = labelme_read(path)
    assert theirs.image_path == "frame.0007.jpg"
    with Image.open(path.with_suffix(".jpg")) as image:
        assert np.abs(np.asarray(image).astype(int) - made.image).mean() < 8


def test_every_shape_says_which_model_drew_it_and_how_sure_it_was_of_the_class(tmp_path: Path) -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[5:25, 5:25], mask[35:55, 35:55] = 1, 2
    _, annotation = written(tmp_path, mask, WITH_BACKGROUND)
    assert [(shape.label, shape.text) for shape in annotation.shapes] == [
        ("disc", "predicted by unet in best.safetensors, mean confidence 0.88"),
        ("bar", "predicted by unet in best.safetensors"),
    ]


@pytest.mark.parametrize("shapes", ["polygon", "mask"])
def test_with_a_confidence_map_each_region_has_its_own(tmp_path: Path, shapes: str) -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[5:25, 5:25], mask[30:55, 30:55] = 1, 1
    mask[10:20, 10:20] = 2  # in a hole of the first
    sure = np.full(mask.shape, 0.1, np.float32)
    sure[mask == 1], sure[mask == 2] = 0.5, 0.9
    sure[30:55, 30:55] = 0.75
    _, annotation = written(tmp_path, mask, WITH_BACKGROUND, WriteOptions(shapes=shapes), certainties=sure)
    said = sorted((shape.label, shape.text.rpartition(" ")[2]) for shape in annotation.shapes)
    assert said == [("bar", "0.90"), ("disc", "0.50"), ("disc", "0.75")]


def test_a_prediction_of_background_alone_has_no_shape(tmp_path: Path) -> None:
    _, annotation = written(tmp_path, np.zeros((20, 30), np.uint8), WITH_BACKGROUND)
    assert annotation.shapes == ()


def test_a_ring_keeps_its_hole(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:80, 0:80]
    distance = np.hypot(rows - 40, columns - 40)
    mask = ((distance < 35) & (distance > 15)).astype(np.uint8)
    mask[distance < 8] = 2
    _, annotation = written(tmp_path, mask, WITH_BACKGROUND)
    assert [shape.label for shape in annotation.shapes] == ["disc", "_background_", "bar"]
    assert (converted(tmp_path, annotation, WITH_BACKGROUND) == mask).mean() > 0.998


def test_the_smallest_area_can_be_chosen(tmp_path: Path) -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[10:40, 10:40], mask[50:52, 50:52] = 1, 2
    for least, labels in ((4, ["disc", "bar"]), (5, ["disc"])):
        _, annotation = written(tmp_path, mask, WITH_BACKGROUND, WriteOptions(min_area=least))
        assert [shape.label for shape in annotation.shapes] == labels


def test_the_python_of_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "correcting.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    mask = smooth(0)
    mask[:20] = 255
    Image.fromarray(mask).save("mask.png")
    exec(block, {})
    annotation = read_labelme(Path("photo.json"))
    assert annotation is not None and annotation.size == mask.shape
    assert {shape.label for shape in annotation.shapes} >= {"__ignore__", "coin", "gland"}
    assert {shape.text for shape in annotation.shapes} == {"from mask.png"}
