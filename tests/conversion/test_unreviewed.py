"""Predictions that nobody has looked at: taken in with a word, or left out."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.annotations import annotated, content, encoded, picture, shape, write_json
from tests.cli.program import seg
from toolkit.conversion.convert import convert
from toolkit.errors import DataError
from toolkit.labels.labelme import read_labelme

WARNING = "3 of 4 annotations still have the flag 'predicted': nobody has looked at them."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three predictions as they came, one of a class of its own, and one that was corrected."""
    for index, (stem, label) in enumerate([("a", "cat"), ("b", "cat"), ("c", "eel"), ("good", "cat")]):
        annotated(tmp_path / "in", stem, label=label, seed=index, flags={"predicted": stem != "good", "blurred": True})
    return tmp_path


def untick(path: Path) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, values | {"flags": {"predicted": False}})


def masks_and_pictures(root: Path) -> dict[str, bytes]:
    kinds = ("JPEGImages", "SegmentationClass", "SegmentationObject")
    return {f"{kind}/{path.name}": path.read_bytes() for kind in kinds for path in (root / kind).iterdir()}


def test_they_are_taken_in_with_one_warning(folder: Path) -> None:
    report = convert(folder / "in", folder / "voc")
    (remark,) = report.remarks
    assert WARNING in str(remark) and "--only-reviewed" in remark.way_out and remark.place == str(folder / "in")
    assert (report.images, report.unreviewed, report.left_out) == (4, 3, 0)
    said = json.loads((folder / "voc" / "report.json").read_text(encoding="utf-8"))
    assert (said["unreviewed"], said["left_out"]) == (3, 0)


def test_the_flag_changes_no_byte_of_the_dataset(folder: Path) -> None:
    first = masks_and_pictures(convert(folder / "in", folder / "voc").root)
    for stem in "abc":
        untick(folder / "in" / f"{stem}.json")
    report = convert(folder / "in", folder / "again")
    assert masks_and_pictures(report.root) == first and report.remarks == ()


def test_left_out_they_give_no_image_no_class_and_no_background(folder: Path) -> None:
    (folder / "in" / "lone.jpg").write_bytes(encoded(picture(9)))
    report = convert(folder / "in", folder / "voc", only_reviewed=True, unlabelled="background")
    assert (report.images, report.unreviewed, report.left_out, report.remarks) == (2, 0, 3, ())
    assert report.classes == ("_background_", "cat")
    masks = sorted(path.stem for path in (folder / "voc" / "SegmentationClass").iterdir())
    assert masks == ["good", "lone"], "c.jpg is no picture without annotation"


def test_one_by_one_they_join_as_they_are_looked_at(folder: Path) -> None:
    convert(folder / "in", folder / "voc", only_reviewed=True)
    untick(folder / "in" / "b.json")
    report = convert(folder / "in", folder / "voc", only_reviewed=True, update=True)
    assert (report.images, report.unchanged, report.left_out, report.remarks) == (2, 1, 2, ())


def test_what_had_joined_before_is_said(folder: Path) -> None:
    convert(folder / "in", folder / "voc")
    untick(folder / "in" / "b.json")
    report = convert(folder / "in", folder / "voc", only_reviewed=True, update=True)
    assert (report.images, report.left_out, report.gone) == (2, 2, 0)
    (remark,) = report.remarks
    assert "2 of the annotations that nobody has looked at are in the dataset from before" in str(remark)
    assert (folder / "voc" / "SegmentationClass" / "a.png").exists()


def test_nothing_but_predictions(folder: Path) -> None:
    (folder / "in" / "good.json").unlink()
    with pytest.raises(DataError, match=r"all 3 annotations have the flag 'predicted'\. Untick it"):
        convert(folder / "in", folder / "voc", only_reviewed=True)
    assert not (folder / "voc").exists()


def test_what_is_in_two_places_is_not_counted(folder: Path) -> None:
    """Neither among those taken in nor among those left out."""
    convert(folder / "in", folder / "voc")
    for seed, stem in enumerate("abd"):
        annotated(folder / "other", stem, seed=seed, flags={"predicted": True})
    report = convert(folder / "other", folder / "voc", update=True)
    (said,) = [remark.reason for remark in report.remarks if remark.code == "unreviewed"]
    assert said.startswith("1 of 1 annotations still has the flag 'predicted'")
    assert (len(report.failures), report.images, report.unreviewed, report.left_out) == (2, 1, 1, 0)
    annotated(folder / "other", "e", seed=4)
    report = convert(folder / "other", folder / "voc", update=True, only_reviewed=True)
    assert (report.ok, report.images, report.unreviewed, report.left_out) == (True, 1, 0, 3)


def test_on_the_command_line(folder: Path) -> None:
    assert seg(folder, "convert", "in", "--out", "voc").stderr.count("nobody has looked") == 1
    done = seg(folder, "convert", "in", "--out", "new", "--only-reviewed", "--json")
    assert json.loads(done.stdout)["left_out"] == 3


@pytest.mark.parametrize("odd", [{}, {"version": 5}], ids=["quick", "loose"])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"predicted": True, "n": 1, "m": [{}]}, True),
        ({"predicted": False}, False),
        *(
            (value, None)
            for value in ({"predicted": 1}, {"predicted": "yes"}, {"other": True}, {}, None, ["predicted"])
        ),
        *((value, None) for value in ("predicted", 5, True, [[True]], {"predicted": {"predicted": True}})),
    ],
)
def test_flags_of_any_program(tmp_path: Path, flags: Any, expected: bool | None, odd: dict[str, Any]) -> None:
    path = write_json(tmp_path / "a.json", content([shape()]) | odd | {"flags": flags})
    read = read_labelme(path)
    assert read is not None and read.predicted is expected and read.findings == ()
