"""`seg weights` as a user types it: every method, one of them, into a file and back, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.cli.program import SAMPLE, seg, seg_program
from tests.datasets import mask_of, write_list, write_mask, write_voc
from toolkit.labels.classmap import ClassMap
from toolkit.losses.class_weights import METHODS, class_weights

ODD_NAMES = ("yes", "1", "null", "a: b # c", "歩行者", "- é'\"")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "voc")


def test_every_method_of_the_sample_and_what_auto_takes(tmp_path: Path) -> None:
    seg(tmp_path, "convert", str(SAMPLE))
    said = seg(tmp_path, "weights", code=1).stderr
    assert said.strip().endswith("train.txt: there is no such list. Make it with: seg split datasets/VOCdevkit/VOC2007")
    root = tmp_path / "datasets" / "VOCdevkit" / "VOC2007"
    write_list(root, "train", sorted(path.stem for path in (root / "JPEGImages").iterdir()))
    done = seg_program(tmp_path, "weights")
    assert re.search(rf"^class +pixels +share +images +{' +'.join(METHODS)}$", done.stdout, re.MULTILINE)
    assert re.search(r"^coin +39,977 +12\.138% +12 +2\.75 +1\.73 +1\.49 +2\.34 +2\.04$", done.stdout, re.MULTILINE)
    assert "25 training images, 329,344 pixels counted" in done.stdout
    assert "auto: sqrt, because '_background_' has 4.6 times the pixels of 'coin'" in done.stdout
    assert "warning" not in done.stderr


def test_one_method_only(dataset: Path, tmp_path: Path) -> None:
    lines = seg(tmp_path, "weights", "voc", "--class-weights", "inverse").stdout.splitlines()
    assert lines[0].split() == ["class", "pixels", "share", "images", "weight"]
    expected = class_weights(dataset, "inverse").values
    assert [float(line.split()[-1]) for line in lines[1:4]] == pytest.approx(expected.tolist(), rel=0.005)
    assert lines[-1] == "inverse, as asked"
    lines = seg(tmp_path, "weights", "voc", "--class-weights", "3,1,0.5", "-j", "1").stdout.splitlines()
    assert [line.split()[-1] for line in lines[1:4]] == ["3.00", "1.00", "0.500"]


def test_json(dataset: Path, tmp_path: Path) -> None:
    found = json.loads(seg(tmp_path, "weights", "voc", "--json").stdout)
    assert set(found) == {"method", "reason", "images", "ignored", "classes", "warnings", "methods"}
    assert (found["method"], found["images"]) == ("sqrt", 5)
    assert [set(entry) for entry in found["classes"]] == [{"id", "name", "pixels", "share", "images", "weight"}] * 3
    assert [entry["name"] for entry in found["classes"]] == ["_background_", "disc", "bar"]
    assert sum(entry["share"] * entry["weight"] for entry in found["classes"]) == pytest.approx(1)
    assert found["methods"] == {name: class_weights(dataset, name).values.tolist() for name in METHODS}
    one = json.loads(seg(tmp_path, "weights", "voc", "--json", "--class-weights", "enet").stdout)
    assert "methods" not in one
    assert [entry["weight"] for entry in one["classes"]] == found["methods"]["enet"]


def test_validation_images_are_not_counted(dataset: Path, tmp_path: Path) -> None:
    before = seg(tmp_path, "weights", "voc").stdout
    write_mask(dataset, "pic_6", np.full_like(mask_of(dataset, "pic_6"), 2))
    assert seg(tmp_path, "weights", "voc").stdout == before
    write_list(dataset, "train", ["pic_0", "pic_6"])
    assert seg(tmp_path, "weights", "voc").stdout != before


def test_what_is_written_is_read_again_whatever_the_names(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc", names=ODD_NAMES[:4])
    (dataset / "class_names.txt").write_text("".join(f"{name}\n" for name in ODD_NAMES), encoding="utf-8")
    assert ClassMap.read(dataset / "class_names.txt").names == ODD_NAMES
    done = seg(tmp_path, "weights", "voc", "--class-weights", "median", "--out", "new/w.yaml")
    assert "seg train --class-weights new/w.yaml" in done.stderr
    expected = class_weights(dataset, "median").values
    assert class_weights(dataset, str(tmp_path / "new" / "w.yaml")).values.tolist() == expected.tolist()
    again = seg(tmp_path, "weights", "voc", "--class-weights", "new/w.yaml").stdout
    assert again.splitlines()[1:7] == done.stdout.splitlines()[1:7]
    assert again.splitlines()[-1] == "as given"


def test_a_file_is_never_replaced_unasked(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("mine", encoding="utf-8")
    said = seg(tmp_path, "weights", "voc", "--out", "w.yaml", code=2).stderr
    assert "w.yaml: exists already. Use --overwrite" in said
    assert path.read_text(encoding="utf-8") == "mine"
    seg(tmp_path, "weights", "voc", "--out", "w.yaml", "--overwrite")
    assert class_weights(dataset, str(path)).values.tolist() == class_weights(dataset, "auto").values.tolist()
    seg(tmp_path, "weights", "voc", "--out", ".", "--overwrite", code=2)


def test_where_auto_takes_none_ones_are_written(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc", names=("left", "right"))
    for stem in (f"pic_{index}" for index in range(5)):
        mask = mask_of(dataset, stem)
        mask[:] = np.arange(mask.size).reshape(mask.shape) % 2
        write_mask(dataset, stem, mask)
    done = seg(tmp_path, "weights", "voc", "--out", "w.yaml")
    assert "auto: none, because the classes are nearly even" in done.stdout
    assert (tmp_path / "w.yaml").read_text(encoding="utf-8").splitlines()[1:] == ["left: 1.0", "right: 1.0"]


def test_warnings_and_missing_names(dataset: Path, tmp_path: Path) -> None:
    (dataset / "class_names.txt").write_text("_background_\ndisc\nbar\nghost\n", encoding="utf-8")
    done = seg(tmp_path, "weights", "voc")
    assert "warning: class 'ghost' is in no training image (weight 0)" in done.stderr
    assert "warning" not in done.stdout
    assert re.search(r"^ghost +0 +0\.000% +0( +0){5}$", done.stdout, re.MULTILINE)
    (dataset / "class_names.txt").unlink()
    done = seg(tmp_path, "weights", "voc")
    assert "class_names.txt is missing: the classes are called by their ids, 0 to 2" in done.stderr
    assert re.search(r"^class 2 +\d", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 1, "seg convert LABELME_DIR"),
        (("nowhere",), 1, "nowhere: there is no such folder"),
        (("voc", "--class-weights", "invers"), 2, "Did you mean 'inverse'?"),
        (("voc", "--class-weights", ""), 2, "class weights '' is not known"),
        (("voc", "--class-weights", "1,2"), 2, "3 numbers are needed (_background_, disc, bar), got 2"),
        (("voc", "--class-weights", "none.yaml"), 1, "none.yaml: there is no such file of class weights"),
        (("voc", "--class-weights", "voc/class_names.txt"), 1, "line 1 is '_background_'. Write one number a line"),
        (("voc", "--class-weights", "effective:1"), 2, "beta is a number from 0 to below 1"),
    ],
)
def test_wrong_usage(dataset: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = seg(tmp_path, "weights", *arguments, code=code)
    assert words in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert not done.stdout


def test_masks_that_do_not_fit_are_named(dataset: Path, tmp_path: Path) -> None:
    mask = mask_of(dataset, "pic_3")
    mask[0, :2] = 9
    write_mask(dataset, "pic_3", mask)
    assert "pic_3.png: holds the value 9 (2 pixels)" in seg(tmp_path, "weights", "voc", code=1).stderr
    (dataset / "SegmentationClass" / "pic_3.png").unlink()
    assert "pic_3.png" in seg(tmp_path, "weights", "voc", code=1).stderr
