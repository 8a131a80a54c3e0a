"""Names and labels that no file system or text file can hold stop nothing but themselves."""

import json
import os
from pathlib import Path

import pytest

from tests.annotations import annotated, content, shape, write_json
from toolkit.conversion.convert import convert
from toolkit.conversion.report import ConvertReport


def convert_beside_a_good_one(tmp_path: Path) -> ConvertReport:
    annotated(tmp_path / "in", "good")
    report = convert(tmp_path / "in", tmp_path / "voc")
    assert (tmp_path / "voc" / "SegmentationClass" / "good.png").is_file()
    assert json.loads((tmp_path / "voc" / "report.json").read_text(encoding="utf-8"))["images"] == report.images
    return report


@pytest.mark.parametrize("name", ["x" * 5000 + ".jpg", "a\0b.jpg", "\ud800.jpg", "bad.json"])
def test_image_path_that_cannot_exist(tmp_path: Path, name: str) -> None:
    write_json(tmp_path / "in" / "bad.json", content([shape()], image=name))
    report = convert_beside_a_good_one(tmp_path)
    (failure,) = report.failures
    assert failure.place.endswith("bad.json") and "imagePath" in failure.reason
    assert len(failure.reason) < 400


def test_label_with_half_a_character_is_left_out(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "odd", label="\ud800x")
    report = convert_beside_a_good_one(tmp_path)
    assert report.ok and report.classes == ("_background_", "cat")
    assert [item.place.rpartition("/")[2] for item in report.remarks] == ["odd.json: shapes[0].label"]


@pytest.mark.skipif(os.name == "nt", reason="such names do not exist there")
def test_file_name_that_is_no_text(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "b")
    (tmp_path / "in" / "b.json").rename(tmp_path / "in" / os.fsdecode(b"b\xff.json"))
    assert convert_beside_a_good_one(tmp_path).images == 2


def test_names_as_long_as_a_file_system_allows(tmp_path: Path) -> None:
    for stem in ("猫" * 80, "x" * 240):
        annotated(tmp_path / "in", "short").rename(tmp_path / "in" / f"{stem}.json")
    deep = tmp_path / "in" / ("d" * 120) / ("e" * 120)
    annotated(deep, "good")
    report = convert_beside_a_good_one(tmp_path)
    assert report.ok and report.images == 4
    assert len(list((tmp_path / "voc" / "SegmentationClass").iterdir())) == 4


def test_labels_that_look_alike_are_one_class(tmp_path: Path) -> None:
    for stem, label in (("a", "żółw"), ("b", "z\u0307o\u0301łw"), ("c", " \ufeffżółw  ")):
        annotated(tmp_path / "in", stem, label=label)
    assert convert_beside_a_good_one(tmp_path).classes == ("_background_", "cat", "żółw")
