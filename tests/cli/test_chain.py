"""The four commands, one after the other, as typed in an empty folder."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import VOCSegmentation

from tests.cli.program import SAMPLE, seg, seg_program
from tests.training.tiny import tiny_config
from toolkit.training.run import train


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


SMALL = ("--size", "32", "--batch", "6", "--epochs", "1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the chain has run, as typed but for pictures and epochs, which are as few as can be."""
    home = tmp_path_factory.mktemp("my photos Ünïcode")
    seg_program(home, "convert", str(SAMPLE))
    seg_program(home, "split", "--ratio", "0.9")
    seg_program(home, "train", "--class-weights", "auto", *SMALL)
    seg_program(home, "predict", str(SAMPLE))
    return home


def test_dataset_is_read_by_torchvision(home: Path) -> None:
    counts = {}
    for side in ("train", "val", "trainval"):
        found = VOCSegmentation(str(home / "datasets"), year="2007", image_set=side)
        counts[side] = len(found)
        for image, mask in found:
            assert image.size == mask.size
            assert set(np.unique(np.array(mask))) <= {0, 1, 2}
    assert counts == {"train": 22, "val": 3, "trainval": 25}


def test_run_holds_what_is_promised(home: Path) -> None:
    run = home / "runs" / "train-1"
    for name in ("config.yaml", "manifest.json", "log.csv", "val_samples.jpg"):
        assert (run / name).stat().st_size > 0
    assert {p.name for p in (run / "weights").iterdir()} == {
        "best.safetensors",
        "last.safetensors",
        "good.pt",
        "state.pt",
    }
    assert "model: vgg16-unet" in (run / "config.yaml").read_text(encoding="utf-8")


def test_predictions_have_the_size_of_their_pictures(home: Path) -> None:
    out = home / "runs" / "predict-1"
    pictures = sorted([*SAMPLE.glob("*.png"), *SAMPLE.glob("*.jpg")])
    for kind, suffix in (("mask", ".png"), ("ids", ".png"), ("overlay", ".jpg"), ("labelme", ".json")):
        assert len(list((out / kind).iterdir())) == len(pictures)
        for picture in pictures:
            written = out / kind / f"{picture.stem}{suffix}"
            if suffix != ".json":
                assert opened(written).size == opened(picture).size
    for picture in pictures:
        palette = opened(out / "mask" / f"{picture.stem}.png")
        grey = opened(out / "ids" / f"{picture.stem}.png")
        assert (palette.mode, grey.mode) == ("P", "L")
        assert np.array_equal(np.array(palette), np.array(grey))


def test_predictions_can_be_converted_again(home: Path) -> None:
    seg(home, "convert", "runs/predict-1/labelme", "--labels", str(SAMPLE / "labels.txt"), "--out", "again")
    names = (home / "again" / "class_names.txt").read_text(encoding="utf-8").split()
    assert names == ["_background_", "coin", "gland"]
    different = total = 0
    for path in sorted((home / "again" / "SegmentationClass").iterdir()):
        drawn = np.array(opened(path))
        predicted = np.array(opened(home / "runs" / "predict-1" / "mask" / path.name))
        different += int((drawn != predicted).sum())
        total += drawn.size
    assert different < 0.02 * total


def test_a_dataset_is_not_overwritten_unasked(home: Path) -> None:
    before = {p: p.read_bytes() for p in (home / "datasets").rglob("*") if p.is_file()}
    done = seg(home, "convert", str(SAMPLE), code=2)
    assert "--update" in done.stderr and "--overwrite" in done.stderr
    assert {p: p.read_bytes() for p in (home / "datasets").rglob("*") if p.is_file()} == before


@pytest.fixture(scope="module")
def second(home: Path) -> Path:
    """Another run in the same folder, by what `seg train` calls: a start of the program takes seconds."""
    with contextlib.chdir(home):
        return train(tiny_config(Path("datasets") / "VOCdevkit" / "VOC2007", epochs=1, batch=22)).run.root


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """One that is whole and one that breaks off."""
    whole = (SAMPLE / "coins_01.png").read_bytes()
    (tmp_path / "good.png").write_bytes(whole)
    (tmp_path / "bad.png").write_bytes(whole[:600])
    return tmp_path


def test_broken_picture_is_named_and_the_others_are_predicted_by_the_run_that_is_chosen(
    home: Path, second: Path, pictures: Path
) -> None:
    done = seg(home, "predict", str(pictures), "--out", "with_a_bad_one", "--run", "runs/train-1", "--json", code=1)
    assert "bad.png" in done.stderr
    assert [p.name for p in (home / "with_a_bad_one" / "mask").iterdir()] == ["good.png"]
    assert Path(json.loads(done.stdout)["checkpoint"]).parts[:2] == ("runs", "train-1")


def test_a_second_run_gets_a_number_of_its_own_and_predict_takes_the_newest(
    home: Path, second: Path, pictures: Path
) -> None:
    assert second.parts[-2:] == ("runs", "train-2")
    report = json.loads(seg(home, "predict", str(pictures), "--allow-bad", "--json").stdout)
    assert Path(report["checkpoint"]).parts[:2] == ("runs", "train-2")
    assert report["images"] == 1
