"""seg train --dry-run and --preview: what a training would be, without one."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.program import seg
from tests.datasets import write_voc
from tests.training.tiny import tiny_config
from toolkit.cli.before_training import preview_training
from toolkit.errors import RunError, UsageError
from toolkit.training.rehearse import rehearse

SMALL = ("--model", "unet", "--width", "4", "--size", "32", "--batch", "2")


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_dry_run_says_what_a_training_takes_and_leaves_none(tmp_path: Path) -> None:
    write_voc(tmp_path / "voc", train=7, val=2)
    before = files_of(tmp_path)
    done = seg(tmp_path, "train", "voc", *SMALL, "--epochs", "50", "--class-weights", "auto", "--dry-run", "--json")
    found = json.loads(done.stdout)
    assert (found["steps"], found["train_images"], found["val_images"]) == (4, 7, 2)
    assert found["classes"] == ["_background_", "disc", "bar"] and len(found["class_weights"]) == 3
    assert found["parameters"] == 123_403
    assert found["config"]["epochs"] == 50 and found["config"]["lr"] == 0.001, "effective values"
    whole = 50 * (4 * found["step_seconds"] + 2 * found["picture_seconds"])
    assert abs(found["seconds"] - whole) <= 0.01 * whole
    assert 0 <= found["data_seconds"] < found["step_seconds"] < 60
    assert 5e7 < found["memory"] < 1e11
    assert files_of(tmp_path) - before <= {"voc/mask_counts.jsonl"}
    assert not (tmp_path / "runs").exists()


def test_dry_run_makes_no_cache_and_refuses_what_training_refuses(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc", train=3, val=1)
    assert rehearse(tiny_config(dataset, cache="disk", epochs=3)).steps == 2
    assert not (dataset / ".cache").exists()
    for path in (dataset / "JPEGImages").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(RunError, match="none of the training images of the first 2 steps could be read"):
        rehearse(tiny_config(dataset, on_bad_image="skip"))


def test_preview_is_drawn_beside_the_runs_and_never_over_a_file(tmp_path: Path) -> None:
    write_voc(tmp_path / "voc", train=3, val=1)
    (tmp_path / "runs" / "preview-4").mkdir(parents=True)
    done = seg(tmp_path, "train", "voc", "--size", "64", "--preview", "--augment", "strong")
    assert done.stdout.strip() == "runs/preview-5/preview.jpg"
    with Image.open(tmp_path / "runs/preview-5/preview.jpg") as drawn:
        assert drawn.width > 5 * 64 and drawn.height > 3 * 64
    told = seg(tmp_path, "train", "voc", "--size", "64", "--preview", "--out", "sheet.png", "--json").stdout
    assert json.loads(told) == {"preview": "sheet.png"} and (tmp_path / "sheet.png").is_file()
    mine = tmp_path / "mine.png"
    mine.write_bytes(b"mine")
    done = seg(tmp_path, "train", "voc", "--preview", "--out", "mine.png", code=2)
    assert "mine.png: exists" in done.stderr and mine.read_bytes() == b"mine"


def test_preview_shows_masks_as_fine_as_they_are_learnt_from(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc", train=2, val=1)
    for upscale in (1, 3):
        preview_training(tiny_config(dataset, upscale=upscale), tmp_path / f"{upscale}.png")
    sheets = [np.array(Image.open(tmp_path / f"{upscale}.png")) for upscale in (1, 3)]
    assert sheets[0].shape == sheets[1].shape and (sheets[0] != sheets[1]).any()
    with pytest.raises(UsageError, match="upscale: vgg16-unet has masks of the image's size"):
        preview_training(tiny_config(dataset, model="vgg16-unet", width=None, upscale=3), tmp_path / "none.png")
