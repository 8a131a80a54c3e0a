"""The same lists on every machine, and no list that leaves an image out unsaid."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.datasets import write_list, write_sample
from toolkit.errors import DatasetError, UsageError
from toolkit.progress import Progress
from toolkit.splitting.split import split
from toolkit.voc.folder import VocFolder


class Listener(Progress):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        self.warnings.append(line)


def dataset(root: Path, stems: list[str]) -> Path:
    blank = np.zeros((2, 2, 3), np.uint8)
    for stem in stems:
        write_sample(root, stem, blank, blank[..., 0])
    return root


def numbered(count: int) -> list[str]:
    return [f"img_{index:03}" for index in range(count)]


def lists_of(root: Path) -> dict[str, list[str]]:
    folder = root / "ImageSets" / "Segmentation"
    return {path.stem: path.read_text(encoding="utf-8").split("\n")[:-1] for path in folder.glob("*.txt")}


@pytest.mark.parametrize(
    ("count", "ratio", "val"),
    [(10, 0.9, 1), (25, 0.9, 3), (100, 0.8, 20), (2, 0.9, 1), (2, 0.01, 1), (3, 0.999, 1), (3, 0.001, 2), (7, 0.5, 4)],
)
def test_sizes_and_membership(tmp_path: Path, count: int, ratio: float, val: int) -> None:
    stems = numbered(count)
    made = split(dataset(tmp_path, stems), ratio=ratio)
    lists = lists_of(tmp_path)
    assert set(lists) == {"train", "val", "trainval", "test"}
    assert len(lists["val"]) == val
    assert sorted(lists["train"] + lists["val"]) == lists["trainval"] == stems
    assert lists["test"] == []
    assert (list(made.train), list(made.val), list(made.trainval)) == (lists["train"], lists["val"], lists["trainval"])
    record = json.loads((tmp_path / "ImageSets" / "Segmentation" / "split.json").read_text(encoding="utf-8"))
    assert (record["seed"], record["options"]["ratio"]) == (0, ratio)
    assert record["images"] == {"train": count - val, "val": val, "trainval": count, "test": 0}


def test_it_does_not_depend_on_the_order_of_files_or_on_the_process(tmp_path: Path) -> None:
    stems = numbered(30)
    expected = split(dataset(tmp_path / "a", stems))
    assert split(dataset(tmp_path / "b", stems[::-1])) == expected
    code = "import sys; from toolkit.splitting.split import split; print(*split(sys.argv[1]).val)"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "a")],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert tuple(done.stdout.split()) == expected.val


def test_the_seed_alone_changes_the_lists(tmp_path: Path) -> None:
    root = dataset(tmp_path, numbered(30))
    lists = {seed: split(root, seed=seed).val for seed in (0, 1, 2)}
    assert len(set(lists.values())) == 3
    assert split(root, seed=1).val == lists[1]


def test_images_that_come_in_later_do_not_reorder_the_others(tmp_path: Path) -> None:
    root = dataset(tmp_path, numbered(40))
    before = split(root, ratio=0.5, random=True)
    dataset(root, ["new_1", "new_2"])
    after = split(root, ratio=0.5, random=True)
    assert len((set(before.val) ^ set(after.val)) - {"new_1", "new_2"}) <= 2


def test_a_single_image_is_in_both_and_that_is_said(tmp_path: Path) -> None:
    listener = Listener()
    made = split(dataset(tmp_path, ["only"]), progress=listener)
    assert made.train == made.val == made.trainval == ("only",)
    assert "only one image" in listener.warnings[-1]


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1, 1.5, 90.0, float("nan"), float("inf")])
def test_a_ratio_that_is_no_share_is_refused(tmp_path: Path, ratio: float) -> None:
    root = dataset(tmp_path, numbered(4))
    with pytest.raises(UsageError, match="a share between 0 and 1 is needed"):
        split(root, ratio=ratio)
    assert lists_of(root) == {}


def test_stems_without_image_or_mask_are_refused_by_name(tmp_path: Path) -> None:
    root = dataset(tmp_path, numbered(5))
    (root / "JPEGImages" / "img_001.png").unlink()
    (root / "SegmentationClass" / "img_003.png").unlink()
    with pytest.raises(DatasetError) as raised:
        split(root)
    assert "'img_001' has no image in JPEGImages" in str(raised.value)
    assert "'img_003' has no mask in SegmentationClass" in str(raised.value)
    assert "--allow-bad" in str(raised.value)
    assert lists_of(root) == {}

    listener = Listener()
    made = split(root, allow_bad=True, progress=listener)
    assert made.trainval == ("img_000", "img_002", "img_004")
    assert "'img_001'" in listener.warnings[0]
    assert "'img_003'" in listener.warnings[0]


def test_many_missing_masks_are_counted(tmp_path: Path) -> None:
    root = dataset(tmp_path, numbered(20))
    for stem in numbered(9):
        (root / "SegmentationClass" / f"{stem}.png").unlink()
    with pytest.raises(DatasetError, match="'img_004' and 4 more have no mask"):
        split(root)


def test_a_dataset_without_pairs_is_refused(tmp_path: Path) -> None:
    for folder in ("JPEGImages", "SegmentationClass"):
        (tmp_path / folder).mkdir()
    with pytest.raises(DatasetError, match="holds no image with a mask"):
        split(tmp_path)


def test_its_own_lists_are_renewed_and_foreign_ones_are_not(tmp_path: Path) -> None:
    root = dataset(tmp_path, numbered(10))
    split(root)
    split(root, seed=5)
    write_list(root, "val", ["img_000", "img_001"])
    before = lists_of(root)
    with pytest.raises(DatasetError, match=r"not made by seg split, or were changed since\. Use --overwrite"):
        split(root)
    assert lists_of(root) == before
    assert split(root, overwrite=True).val == tuple(lists_of(root)["val"])
    split(root)


def test_lists_that_came_with_a_dataset_are_not_overwritten(tmp_path: Path) -> None:
    root = dataset(tmp_path, numbered(4))
    write_list(root, "test", ["img_000"])
    with pytest.raises(DatasetError, match="--overwrite"):
        split(root)
    assert lists_of(root) == {"test": ["img_000"]}


def test_picture_types_and_spellings_are_all_seen(tmp_path: Path) -> None:
    root = dataset(tmp_path, numbered(4))
    images = root / "JPEGImages"
    for stem, name in (("img_000", "img_000.JPG"), ("img_001", "img_001.jpeg"), ("img_002", "img_002.Tif")):
        (images / f"{stem}.png").rename(images / name)
    (images / "Thumbs.db").touch()
    (images / ".hidden.jpg").touch()
    assert split(root).trainval == tuple(numbered(4))
    assert VocFolder(root).image("img_002") == images / "img_002.Tif"


@pytest.mark.parametrize("inside", ["", "VOC2007", "VOCdevkit/VOC2012"])
def test_a_dataset_is_found_from_the_folders_around_it(tmp_path: Path, inside: str) -> None:
    root = dataset(tmp_path / inside, ["a"])
    assert VocFolder.find(tmp_path).root == root


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such folder"):
        split(tmp_path / "gone")
    with pytest.raises(DatasetError, match="needs the folders JPEGImages and SegmentationClass"):
        split(tmp_path)
    dataset(tmp_path / "VOC2007", ["a"])
    dataset(tmp_path / "VOC2012", ["a"])
    with pytest.raises(DatasetError, match="holds several datasets"):
        split(tmp_path)


def test_no_dataset_at_the_default_place_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="Make one with: seg convert"):
        split()


def test_an_interrupted_conversion_is_not_split(tmp_path: Path) -> None:
    root = dataset(tmp_path, numbered(3))
    (root / ".unfinished").touch()
    with pytest.raises(DatasetError, match=r"interrupted\. Finish it with: seg convert LABELME_DIR --update"):
        split(root)
