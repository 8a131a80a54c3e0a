"""A folder of annotations becomes a dataset: all of it, in any order, or none of it."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import VOCSegmentation

from tests.annotations import SAMPLE, SHARED, SIZE, annotated, content, encoded, picture, shape, write_json
from tests.oracles import labelme_label
from toolkit.conversion.convert import convert
from toolkit.conversion.stems import output_stems
from toolkit.errors import DataError, UsageError
from toolkit.labels.classmap import voc_palette
from toolkit.labels.labelme import read_labelme
from toolkit.splitting.split import split

FOLDERS = ("JPEGImages", "SegmentationClass", "SegmentationObject")


def files_of(root: Path) -> dict[str, bytes]:
    """All but the cache of counts, which holds times."""
    files = [path for path in root.rglob("*") if path.is_file() and path.name != "mask_counts.jsonl"]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def names_in(root: Path, folder: str) -> list[str]:
    return sorted(path.stem for path in (root / folder).iterdir())


def mask_of(root: Path, stem: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(root / "SegmentationClass" / f"{stem}.png") as image:
        return np.array(image)


def labels_file(folder: Path, *labels: str) -> Path:
    path = folder / "labels.txt"
    path.write_text("\n".join(labels) + "\n", encoding="utf-8")
    return path


def test_the_sample_gives_labelmes_masks_and_an_honest_report(tmp_path: Path) -> None:
    out = tmp_path / "voc"
    report = convert(SAMPLE, out, labels=SAMPLE / "labels.txt")
    names = (out / "class_names.txt").read_text(encoding="utf-8").splitlines()
    annotations = [a for path in sorted(SAMPLE.glob("*.json")) if (a := read_labelme(path)) is not None]
    pixels = np.zeros(256, np.int64)
    for annotation in annotations:
        assert annotation.size is not None
        expected, _ = labelme_label(annotation.shapes, annotation.size, {n: i for i, n in enumerate(names)})
        with Image.open(out / "SegmentationClass" / f"{annotation.path.stem}.png") as image:
            assert image.mode == "P"
            assert image.getpalette() == voc_palette().ravel().tolist()
            np.testing.assert_array_equal(np.array(image), expected)
        pixels += np.bincount(expected.ravel(), minlength=256)
    assert report.ok
    assert report.images == len(annotations) == len(names_in(out, "JPEGImages"))
    assert sum(report.shapes.values()) == sum(len(annotation.shapes) for annotation in annotations)
    assert report.pixels == {name: pixels[i] for i, name in enumerate(names)} | {"__ignore__": 0}
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == report.as_dict()


def test_class_ids_are_the_same_in_every_file(tmp_path: Path) -> None:
    for label in ("dog", "cat", "eel"):
        annotated(tmp_path / "in", label, label=label)
    report = convert(tmp_path / "in", tmp_path / "voc")
    assert report.classes == ("_background_", "cat", "dog", "eel")
    assert [mask_of(tmp_path / "voc", label).max() for label in ("cat", "dog", "eel")] == [1, 2, 3]


def test_ignored_regions_are_255_and_no_instance(tmp_path: Path) -> None:
    path = annotated(tmp_path / "in")
    write_json(path, content([shape("cat"), shape("__ignore__", [[2, 3], [20, 8]], "rectangle")]))
    report = convert(tmp_path / "in", tmp_path / "voc")
    mask = mask_of(tmp_path / "voc", "a")
    assert (mask[3:9, 2:21] == 255).all()
    assert report.classes == ("_background_", "cat")
    assert report.pixels["__ignore__"] == 6 * 19
    with Image.open(tmp_path / "voc" / "SegmentationObject" / "a.png") as image:
        instances = np.array(image)
    np.testing.assert_array_equal(instances > 0, mask == 1)


def test_an_annotation_without_shapes_is_all_background_and_counted(tmp_path: Path) -> None:
    path = annotated(tmp_path / "in", "empty")
    write_json(path, content([], "empty.jpg"))
    annotated(tmp_path / "in", "full")
    report = convert(tmp_path / "in", tmp_path / "voc")
    assert (report.images, report.without_shapes) == (2, 1)
    assert not mask_of(tmp_path / "voc", "empty").any()


def test_a_list_decides_the_ids(tmp_path: Path) -> None:
    annotated(tmp_path / "in", label="cat")
    labels = labels_file(tmp_path, "__ignore__", "_background_", "zebra", "cat")
    report = convert(tmp_path / "in", tmp_path / "voc", labels=labels)
    assert report.classes == ("_background_", "zebra", "cat")
    assert mask_of(tmp_path / "voc", "a").max() == 2
    assert (tmp_path / "voc" / "class_names.txt").read_bytes() == b"_background_\nzebra\ncat\n"


def test_unlisted_labels_are_all_named_and_nothing_is_written(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "a", label="Cat")
    annotated(tmp_path / "in", "b", label="Cat")
    annotated(tmp_path / "in", "c", label="wombat")
    labels = labels_file(tmp_path, "cat", "dog")
    with pytest.raises(DataError) as raised:
        convert(tmp_path / "in", tmp_path / "deep" / "voc", labels=labels)
    text = str(raised.value)
    assert "2 of the labels used" in text
    assert f"'Cat' (2 shapes, first in {tmp_path / 'in' / 'a.json'}). Did you mean 'cat'?" in text
    assert "'wombat' (1 shape," in text
    assert not (tmp_path / "deep").exists()


def test_bad_files_do_not_stop_the_others(tmp_path: Path) -> None:
    source = tmp_path / "in"
    annotated(source, "good_1")
    annotated(source, "good_2", label="dog")
    (source / "broken.json").write_text('{"shapes": [}', encoding="utf-8")
    write_json(source / "alone.json", content([shape()], "nowhere.jpg"))
    annotated(source, "wrong_size", imageHeight=999)
    annotated(source, "cut")
    (source / "cut.jpg").write_bytes(encoded(picture(0, (300, 300)))[:3000])
    write_json(source / "cut.json", content([shape()], "cut.jpg", imageHeight=300, imageWidth=300))
    partly = content([shape(points=[[1, 1]]), shape()], "good_1.jpg")
    write_json(source / "good_1.json", partly)
    write_json(source / "coco.json", {"images": [], "annotations": []})

    report = convert(source, tmp_path / "voc")
    assert not report.ok
    assert [Path(failure.place).name for failure in report.failures] == [
        "broken.json",
        "alone.json",
        "cut.json",
        "wrong_size.json",
    ]
    assert "nowhere.jpg" in report.failures[1].reason
    assert [path.name for path in report.not_labelme] == ["coco.json"]
    assert [remark.place for remark in report.remarks] == [f"{source / 'good_1.json'}: shapes[0].points"]
    assert report.shapes == {"cat": 1, "dog": 1}
    for folder in FOLDERS:
        assert names_in(tmp_path / "voc", folder) == ["good_1", "good_2"]
    written = json.loads((tmp_path / "voc" / "report.json").read_text(encoding="utf-8"))
    assert [Path(failure["place"]).name for failure in written["failures"]][1] == "alone.json"
    rows = list(csv.reader((tmp_path / "voc" / "sources.csv").read_text(encoding="utf-8").splitlines()))
    assert rows == [["stem", "source"], ["good_1", "good_1.json"], ["good_2", "good_2.json"]]


def test_nothing_is_left_behind_when_nothing_converts(tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "a.json", content([shape()], "nowhere.jpg"))
    write_json(tmp_path / "in" / "b.json", content([shape()], "nowhere.jpg"))
    with pytest.raises(DataError, match=r"a\.json: imagePath: there is no image 'nowhere\.jpg'.*1 more like it"):
        convert(tmp_path / "in", tmp_path / "deep" / "voc")
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [((), r"no labelme annotation \(\*\.json\) in it"), (("a.json", "b.json"), "2 JSON files, but none is labelme's")],
)
def test_a_folder_without_annotations(tmp_path: Path, names: Sequence[str], message: str) -> None:
    (tmp_path / "in").mkdir()
    for name in names:
        write_json(tmp_path / "in" / name, {"images": []})
    with pytest.raises(DataError, match=message):
        convert(tmp_path / "in", tmp_path / "voc")
    assert not (tmp_path / "voc").exists()


def test_a_missing_source_and_a_file_as_source_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        convert(tmp_path / "in", tmp_path / "voc")
    with pytest.raises(DataError, match=r"is a file\. Give the folder"):
        convert(annotated(tmp_path / "in"), tmp_path / "voc")


def test_a_missing_source_is_said_before_anything_of_the_dataset(tmp_path: Path) -> None:
    """Whose way out, --overwrite, would lead nowhere."""
    annotated(tmp_path / "in", "img")
    convert(tmp_path / "in", tmp_path / "voc")
    with pytest.raises(DataError, match=r"im: there is no such folder"):
        convert(tmp_path / "im", tmp_path / "voc")


def test_equal_names_in_subfolders_and_in_other_case_stay_apart(tmp_path: Path) -> None:
    source = tmp_path / "in"
    annotated(source / "day", "img", label="cat", seed=1)
    annotated(source / "night", "img", label="dog", seed=2)
    annotated(source / "night", "IMG", label="eel", seed=3)
    annotated(source, "other", label="cat", seed=4)
    convert(source, tmp_path / "voc")
    with (tmp_path / "voc" / "sources.csv").open(encoding="utf-8", newline="") as file:
        sources = {row["source"]: row["stem"] for row in csv.DictReader(file)}
    assert set(sources) == {"day/img.json", "night/img.json", "night/IMG.json", "other.json"}
    assert len({stem.casefold() for stem in sources.values()}) == 4
    assert sources["day/img.json"] == "day__img"
    assert sources["other.json"] == "other"
    for path, stem in sources.items():
        original = (source / path).with_suffix(".jpg").read_bytes()
        assert (tmp_path / "voc" / "JPEGImages" / f"{stem}.jpg").read_bytes() == original
    classes = {path: int(mask_of(tmp_path / "voc", stem).max()) for path, stem in sources.items()}
    assert classes == {"day/img.json": 1, "night/img.json": 2, "night/IMG.json": 3, "other.json": 1}


def test_no_two_outputs_differ_in_case_only() -> None:
    source = Path("in")
    annotated_files = [source / name for name in ("A/x.json", "a/X.JSON", "a/x.json", "a__x.json", "b/y.json")]
    stems = output_stems(annotated_files, source, {})
    assert list(stems) == annotated_files
    assert len({stem.casefold() for stem in stems.values()}) == 5
    assert stems[source / "a__x.json"] == "a__x"
    assert stems[source / "b" / "y.json"] == "y"


def test_names_with_blanks_and_letters_of_every_script(tmp_path: Path) -> None:
    stems = ["my photo (1)", "Übung 猫", "a.b.c", "x,y;z", "100%"]
    for stem in stems:
        annotated(tmp_path / "Ordner mit Ä", stem, label="żółw")
    convert(tmp_path / "Ordner mit Ä", tmp_path / "voc")
    for folder in FOLDERS:
        assert sorted(path.name[:-4] for path in (tmp_path / "voc" / folder).iterdir()) == sorted(stems)
    split(tmp_path / "voc")
    lists = (tmp_path / "voc" / "ImageSets" / "Segmentation" / "trainval.txt").read_text(encoding="utf-8")
    assert lists.splitlines() == sorted(stems)


def test_no_path_in_a_file_leads_the_output_elsewhere(tmp_path: Path) -> None:
    source = tmp_path / "in"
    data = encoded(picture(1))
    (tmp_path / "outside.jpg").write_bytes(data)
    write_json(source / "a.json", content([shape("../../evil")], "../outside.jpg"))
    write_json(source / "...json", content([shape("cat")], "../outside.jpg"))
    write_json(source / "..\\..\\b.json", content([shape("cat")], "..\\outside.jpg"))
    before = set(tmp_path.rglob("*"))
    out = tmp_path / "deep" / "voc"
    report = convert(source, out)
    assert report.images == 3
    new = {path for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    assert all(out in path.parents for path in new)
    assert all(path.parent.name in FOLDERS or path.parent == out for path in new)
    assert (tmp_path / "outside.jpg").read_bytes() == data
    assert not any("\\" in name or name.startswith(".") for name in names_in(out, "JPEGImages"))


def test_the_same_bytes_whatever_the_workers_and_the_order_of_files(tmp_path: Path) -> None:
    def source(root: Path, order: Sequence[int]) -> Path:
        for index in order:
            annotated(root / f"part_{index % 3}", f"img_{index}", label=f"label {index % 4}", seed=index)
        (root / "broken.json").write_text("{", encoding="utf-8")
        return root

    order = list(range(12))
    results = []
    for position, (workers, files) in enumerate(
        ((0, order), (2, order), (0, order[::-1]), (None, order[6:] + order[:6]))
    ):
        home = tmp_path / str(position)
        convert(source(home / "in", files), home / "voc", workers=workers)
        made = files_of(home / "voc")
        for name in ("report.json", "records.jsonl"):
            made[name] = made[name].replace(str(home).encode(), b"HOME")
        results.append(made)
    assert len(results[0]) == 12 * 3 + 4
    assert all(made == results[0] for made in results[1:])


def test_an_existing_dataset_is_left_alone(tmp_path: Path) -> None:
    annotated(tmp_path / "in")
    convert(tmp_path / "in", tmp_path / "voc")
    before = files_of(tmp_path / "voc")
    annotated(tmp_path / "in", "b", label="dog")
    with pytest.raises(UsageError, match="--update to add to it, --overwrite to replace it"):
        convert(tmp_path / "in", tmp_path / "voc")
    with pytest.raises(UsageError, match="contradict"):
        convert(tmp_path / "in", tmp_path / "voc", update=True, overwrite=True)
    assert files_of(tmp_path / "voc") == before


def test_update_adds_and_keeps_the_ids_of_before(tmp_path: Path) -> None:
    annotated(tmp_path / "first", "m", label="mouse")
    annotated(tmp_path / "second", "c", label="cat")
    annotated(tmp_path / "second", "n", label="newt")
    convert(tmp_path / "first", tmp_path / "voc")
    mouse = mask_of(tmp_path / "voc", "m")
    report = convert(tmp_path / "second", tmp_path / "voc", update=True)
    assert report.classes == ("_background_", "mouse", "cat", "newt")
    assert names_in(tmp_path / "voc", "JPEGImages") == ["c", "m", "n"]
    np.testing.assert_array_equal(mask_of(tmp_path / "voc", "m"), mouse)
    assert [mask_of(tmp_path / "voc", stem).max() for stem in "mcn"] == [1, 2, 3]
    sources = (tmp_path / "voc" / "sources.csv").read_text(encoding="utf-8")
    assert sources == "stem,source\nc,c.json\nm,m.json\nn,n.json\n"


def test_update_renews_a_corrected_annotation(tmp_path: Path) -> None:
    path = annotated(tmp_path / "in")
    convert(tmp_path / "in", tmp_path / "voc")
    write_json(path, content([shape(points=[[0, 0], [35, 23]], kind="rectangle")]))
    convert(tmp_path / "in", tmp_path / "voc", update=True)
    assert (mask_of(tmp_path / "voc", "a") == 1).all()


def test_update_refuses_a_list_that_would_change_ids(tmp_path: Path) -> None:
    annotated(tmp_path / "in", label="mouse")
    convert(tmp_path / "in", tmp_path / "voc")
    before = files_of(tmp_path / "voc")
    labels = labels_file(tmp_path, "cat", "mouse")
    with pytest.raises(DataError, match="does not begin with the dataset's classes"):
        convert(tmp_path / "in", tmp_path / "voc", labels=labels, update=True)
    assert files_of(tmp_path / "voc") == before


def test_overwrite_replaces_everything(tmp_path: Path) -> None:
    annotated(tmp_path / "first", "m", label="mouse")
    annotated(tmp_path / "second", "c", label="cat")
    convert(tmp_path / "first", tmp_path / "voc")
    split(tmp_path / "voc")
    (tmp_path / "voc" / "notes.txt").write_text("mine", encoding="utf-8")
    convert(tmp_path / "second", tmp_path / "voc", overwrite=True)
    convert(tmp_path / "second", tmp_path / "fresh")
    made, fresh = files_of(tmp_path / "voc"), files_of(tmp_path / "fresh")
    assert made.pop("notes.txt") == b"mine"
    assert made.pop("report.json").replace(b"voc", b"fresh") == fresh.pop("report.json")
    assert made == fresh


def test_more_than_255_classes_are_refused(tmp_path: Path) -> None:
    path = annotated(tmp_path / "in")
    write_json(path, content([shape(f"label {index}") for index in range(255)]))
    with pytest.raises(DataError, match="256 classes, but a mask holds at most 255"):
        convert(tmp_path / "in", tmp_path / "voc")
    assert not (tmp_path / "voc").exists()


def test_more_than_254_instances_fit(tmp_path: Path) -> None:
    path = annotated(tmp_path / "in")
    dots = [shape("cat", [[x, y], [x, y]], "rectangle") for y in range(0, 24, 2) for x in range(0, 36, 1)]
    write_json(path, content(dots))
    convert(tmp_path / "in", tmp_path / "voc")
    with Image.open(tmp_path / "voc" / "SegmentationObject" / "a.png") as image:
        instances = np.array(image).astype(int)
    np.testing.assert_array_equal(instances[::2].ravel(), np.arange(1, 433))


def test_an_unknown_image_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"image format 'gif' is not known\. Known: jpg, png, keep"):
        convert(annotated(tmp_path / "in").parent, tmp_path / "voc", image_format="gif")


def test_torchvision_reads_the_result(tmp_path: Path) -> None:
    for index in range(5):
        annotated(tmp_path / "in", f"img_{index}", seed=index)
    root = tmp_path / "datasets" / "VOCdevkit" / "VOC2007"
    convert(tmp_path / "in", root)
    made = split(root, ratio=0.6)
    for side, stems in (("train", made.train), ("val", made.val), ("trainval", made.trainval)):
        found = VOCSegmentation(str(tmp_path / "datasets"), year="2007", image_set=side)
        assert len(found) == len(stems)
        for image, mask in found:
            assert image.size == mask.size == SIZE[::-1]
            assert set(np.unique(np.array(mask))) == {0, 1}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real data is not here")
def test_windows_paths_of_real_files(tmp_path: Path) -> None:
    report = convert(SHARED / "rails", tmp_path / "voc")
    assert (report.images, report.failures) == (3, ())
    assert report.classes == ("_background_", "L1", "L2", "R1", "R2")
