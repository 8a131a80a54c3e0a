"""seg split, as it is typed."""

import json
from pathlib import Path

from tests.cli.program import seg
from tests.splitting.scenes import lists_of, write_scenes
from tests.splitting.test_rules import RARE, VIDEOS, film, plain


def test_the_table_shows_both_sides(tmp_path: Path) -> None:
    write_scenes(tmp_path / "voc", RARE, names=("_background_", "disc", "bar", "ball"))
    done = seg(tmp_path, "split", "voc")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["train", "val"]
    assert lines[1].split() == ["class", "images", "pixels", "images", "pixels"]
    bar = next(line for line in lines if line.startswith("bar")).split()
    assert (bar[1], bar[3]) == ("1", "1")
    assert lines[-2] == "36 images for training, 4 for validation (stratified, seed 0)"
    assert lines[-1].startswith("validation: img_03, ")
    assert done.stderr == ""


def test_json_has_the_lists_and_how_they_came_about(tmp_path: Path) -> None:
    frames, looks = film(3)
    write_scenes(tmp_path / "voc", plain(9) | frames, scenes=looks)
    made = json.loads(seg(tmp_path, "split", "voc", "--val", "4", "--seed", "2", "--json").stdout)
    assert made["val"] == lists_of(tmp_path / "voc")["val"] and len(made["val"]) == 4
    assert made["together"][0]["images"] == sorted(frames)
    assert made["options"]["val"] == 4 and made["seed"] == 2
    assert made["classes"]["a"]["images"] == {"train": 8, "val": 4}


def test_what_was_kept_together_is_said(tmp_path: Path) -> None:
    frames, looks = film(3)
    write_scenes(tmp_path / "voc", plain(9) | frames, scenes=looks)
    assert "kept together: film_000 to film_002 (3, look alike)" in seg(tmp_path, "split", "voc").stdout
    grouped = seg(tmp_path, "split", "voc", "--group-by", "folder", code=2)
    assert grouped.stderr.startswith("seg: group by folder: ")


def test_folds_are_printed_side_by_side_and_trained_on_one_by_one(tmp_path: Path) -> None:
    write_scenes(tmp_path / "voc", VIDEOS)
    done = seg(tmp_path, "split", "voc", "--kfold", "4", "--group-by", "^.")
    assert done.stdout.splitlines()[0].split() == ["fold", "1", "fold", "2", "fold", "3", "fold", "4"]
    assert "seg train --fold 1" in done.stdout
    small = ("--model", "unet", "--width", "4", "--size", "32", "--epochs", "1", "--encoder-weights", "none")
    seg(tmp_path, "train", "voc", "--fold", "3", *small)
    manifest = json.loads((tmp_path / "runs" / "train-1" / "manifest.json").read_text(encoding="utf-8"))
    lists = lists_of(tmp_path / "voc")
    assert (manifest["train"], manifest["val"]) == (lists["fold_3/train"], lists["fold_3/val"])
    assert "fold: 3" in (tmp_path / "runs" / "train-1" / "config.yaml").read_text(encoding="utf-8")

    refused = seg(tmp_path, "train", "voc", "--fold", "5", *small, code=1)
    assert "fold_5" in refused.stderr and "There are folds 1, 2, 3, 4." in refused.stderr
    seg(tmp_path, "split", "voc")
    refused = seg(tmp_path, "train", "voc", "--fold", "1", *small, code=1)
    assert "Make folds with: seg split voc --kfold 5" in refused.stderr


def test_wrong_usage_changes_nothing(tmp_path: Path) -> None:
    write_scenes(tmp_path / "voc", plain(6))
    seg(tmp_path, "split", "voc")
    before = lists_of(tmp_path / "voc")
    for arguments, said in (
        (("--val", "many"), "val: a share (0.1) or a number of images (20) is needed, got 'many'"),
        (("--test", "1e3"), "got 1000"),
        (("--kfold", "3", "--ratio", "0.5"), "ratio: with 3 folds"),
        (("--seed", "x"), "--seed"),
    ):
        done = seg(tmp_path, "split", "voc", *arguments, code=2)
        assert said in done.stderr
    assert lists_of(tmp_path / "voc") == before


def test_keep_moves_nothing(tmp_path: Path) -> None:
    write_scenes(tmp_path / "voc", plain(10))
    seg(tmp_path, "split", "voc")
    before = lists_of(tmp_path / "voc")
    write_scenes(tmp_path / "voc", plain(10, "new"))
    done = seg(tmp_path, "split", "voc", "--keep")
    after = lists_of(tmp_path / "voc")
    assert set(before["train"]) < set(after["train"]) and set(before["val"]) < set(after["val"])
    assert "18 images for training, 2 for validation" in done.stdout
