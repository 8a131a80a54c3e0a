"""`seg stats` as a user types it: before converting, after it, with a picture, with bad files."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.annotations import annotated
from tests.cli.program import SAMPLE, seg, seg_program
from tests.datasets import write_voc


def test_before_and_after_converting(tmp_path: Path) -> None:
    before = seg_program(tmp_path, "stats", str(SAMPLE)).stdout
    assert re.search(r"^class +id +shapes +images +pixels +share +smallest +median +largest$", before, re.MULTILINE)
    assert re.search(r"^gland +2 +16 +12 +106,302 +32\.277% ", before, re.MULTILINE)
    assert "25 annotations in " in before and "1 of them nothing but background" in before
    assert "shapes: 51 (polygon 43, circle 8)" in before
    seg(tmp_path, "convert", str(SAMPLE))
    seg(tmp_path, "split")
    after = seg(tmp_path, "stats").stdout
    assert re.search(r"^class +id +instances +images +in train +in val +pixels +share ", after, re.MULTILINE)
    assert re.search(r"^gland +2 +\d+ +12 +\d+ +\d+ +106,302 +32\.277% ", after, re.MULTILINE)
    assert "lists: train 22, val 3, trainval 25" in after


def test_json(tmp_path: Path) -> None:
    found = json.loads(seg(tmp_path, "stats", str(SAMPLE), "--json").stdout)
    assert (found["kind"], found["images"], found["shapes"]) == ("labelme", 25, 51)
    assert [entry["name"] for entry in found["classes"]] == ["_background_", "coin", "gland"]
    assert sum(entry["share"] for entry in found["classes"]) == pytest.approx(1)
    assert found["image_sizes"]["most_frequent"][0] == {"size": [128, 128], "images": 13}
    assert found["shapes_per_image"]["most"] == 5


def test_predictions_that_nobody_has_looked_at(tmp_path: Path) -> None:
    for index, predicted in enumerate([True, False, True]):
        annotated(tmp_path / "in", f"p{index}", seed=index, flags={"predicted": predicted})
    said = seg(tmp_path, "stats", "in").stdout
    assert "2 annotations are predictions that nobody has looked at (seg check names them)\n" in said
    assert json.loads(seg(tmp_path, "stats", "in", "--json").stdout)["unreviewed"] == 2
    (tmp_path / "in" / "p0.json").unlink()
    said = seg(tmp_path, "stats", "in").stdout
    assert "\n1 annotation is a prediction that nobody has looked at" in said and "\n1 picture has no annot" in said
    (tmp_path / "in" / "p2.json").unlink()
    assert "looked at" not in seg(tmp_path, "stats", "in").stdout
    assert json.loads(seg(tmp_path, "stats", "in", "--json").stdout)["unreviewed"] == 0
    seg(tmp_path, "convert", "in", "--out", "voc")
    assert json.loads(seg(tmp_path, "stats", "voc", "--json").stdout)["unreviewed"] is None


def test_a_picture_is_drawn_and_never_replaced_unasked(tmp_path: Path) -> None:
    dataset = str(write_voc(tmp_path / "voc"))
    seg(tmp_path, "stats", dataset, "--picture", "new/chart.png")
    path = tmp_path / "new" / "chart.png"
    with Image.open(path) as image:
        image.load()
    path.write_bytes(b"mine")
    said = seg(tmp_path, "stats", dataset, "--picture", "new/chart.png", code=2).stderr
    assert "chart.png: exists already. Use --overwrite" in said
    assert path.read_bytes() == b"mine"
    seg(tmp_path, "stats", dataset, "--picture", "new/chart.png", "--overwrite")
    assert path.read_bytes() != b"mine"
    assert [p.name for p in path.parent.iterdir()] == ["chart.png"]
    assert ".png, .svg, .pdf" in seg(tmp_path, "stats", dataset, "--picture", "chart.bmp", code=2).stderr


def test_bad_files_are_named_and_change_the_exit_code(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc")
    for index in range(7):
        (root / "SegmentationClass" / f"more_{index}.png").write_bytes(b"")
    (root / "SegmentationClass" / "pic_0.png").write_bytes(b"no picture")
    done = seg(tmp_path, "stats", "voc", code=1)
    assert "pic_0.png: not an image" in done.stderr
    assert "'more_0' has no picture" in done.stderr and "and 2 more like it" in done.stderr
    assert "6 images with masks" in done.stdout and "8 files could not be counted" in done.stdout
    seg(tmp_path, "stats", "voc", "--allow-bad")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 1, "seg convert LABELME_DIR"),
        (("nowhere",), 1, "nowhere: there is no such folder"),
        ((".",), 1, "no labelme annotation"),
        ((str(SAMPLE / "coins_01.json"),), 1, "is a file"),
        ((str(SAMPLE), "--labels", "none.txt"), 1, "none.txt: there is no such file"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    said = seg(tmp_path, "stats", *arguments, code=code).stderr
    assert words in said
    assert len(said.splitlines()) == 1
