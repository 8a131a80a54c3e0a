"""Everything a user can get wrong ends in a line or two that help, the right exit code, and nothing half-written."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.program import SAMPLE, seg, seg_program


def wrote_nothing(folder: Path, before: set[Path]) -> bool:
    return set(folder.rglob("*")) == before


@pytest.fixture
def labelme_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "labelme"
    folder.mkdir()
    for name in ("coins_01.png", "coins_01.json", "coins_02.png", "coins_02.json"):
        shutil.copy(SAMPLE / name, folder)
    return folder


def expect(folder: Path, arguments: tuple[str, ...], code: int, *words: str) -> None:
    before = set(folder.rglob("*"))
    done = seg(folder, *arguments, code=code)
    for word in words:
        assert word in done.stderr, done.stderr
    assert 1 <= len([line for line in done.stderr.splitlines() if line.strip()]) <= 4
    assert wrote_nothing(folder, before)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("convert", "nowhere"), 1, ("nowhere", "no such folder")),
        (("split", "nowhere"), 1, ("nowhere", "no such folder")),
        (("split",), 1, ("seg convert",)),
        (("train",), 1, ("seg convert",)),
        (("train", "--resume"), 1, ("seg train",)),
        (("predict", "picture.jpg"), 1, ("seg train",)),
        (("train", "--model", "vgg16unet"), 2, ("vgg16unet", "Did you mean 'vgg16-unet'")),
        (("train", "--epochs", "0"), 2, ("epochs", "at least 1")),
        (("train", "--epochs", "many"), 2, ("--epochs", "integer")),
        (("train", "--modle", "unet"), 2, ("--modle", "--model")),
        (("train", "--resume", "--epochs", "3"), 2, ("--epochs",)),
        (("train", "--config", "options.yaml"), 1, ("options.yaml", "no such file")),
        (("trian",), 2, ("trian", "train")),
        (("split", "--ratio", "1.5"), 2, ("ratio", "1.5")),
        (("convert", ".", "--image-format", "gif"), 2, ("gif", "jpg")),
    ],
)
def test_in_an_empty_folder(tmp_path: Path, arguments: tuple[str, ...], code: int, words: tuple[str, ...]) -> None:
    expect(tmp_path, arguments, code, *words)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [(("train",), 1, "seg convert"), (("trian",), 2, "train"), (("train", "--epochs", "0"), 2, "at least 1")],
)
def test_the_program_ends_with_the_code(tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    assert said in seg_program(tmp_path, *arguments, code=code).stderr


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    expect(tmp_path, ("convert", "empty"), 1, "empty", "labelme")


def test_folder_with_other_json_only(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "x"}', encoding="utf-8")
    expect(tmp_path, ("convert", "."), 1, "none is labelme's")


def test_a_file_instead_of_a_folder(tmp_path: Path, labelme_dir: Path) -> None:
    expect(tmp_path, ("convert", str(labelme_dir / "coins_01.json")), 1, "coins_01.json", "folder")


def test_only_corrupt_json(tmp_path: Path) -> None:
    (tmp_path / "cat.json").write_text('{"shapes": [', encoding="utf-8")
    expect(tmp_path, ("convert", "."), 1, "cat.json", "line 1")


def test_only_missing_images(tmp_path: Path, labelme_dir: Path) -> None:
    for picture in labelme_dir.glob("*.png"):
        picture.unlink()
    expect(tmp_path, ("convert", "labelme"), 1, "coins_01.json", "imagePath", "1 more")


def test_label_not_in_the_list(tmp_path: Path, labelme_dir: Path) -> None:
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncoins\n", encoding="utf-8")
    expect(tmp_path, ("convert", "labelme", "--labels", "labels.txt"), 1, "'coin'", "Did you mean 'coins'")


def test_one_corrupt_and_one_without_image_do_not_stop_the_rest(tmp_path: Path, labelme_dir: Path) -> None:
    shutil.copy(SAMPLE / "coins_03.json", labelme_dir)
    (labelme_dir / "broken.json").write_bytes((labelme_dir / "coins_01.json").read_bytes()[:300])
    done = seg(tmp_path, "convert", "labelme", code=1)
    assert "broken.json" in done.stderr and "coins_03.json" in done.stderr
    dataset = tmp_path / "datasets" / "VOCdevkit" / "VOC2007"
    assert sorted(p.name for p in (dataset / "SegmentationClass").iterdir()) == ["coins_01.png", "coins_02.png"]
    assert not [p for p in dataset.rglob("*") if "partial" in p.name]
    seg(tmp_path, "convert", "labelme", "--overwrite", "--allow-bad")


def test_split_names_stems_without_mask_or_image(tmp_path: Path, labelme_dir: Path) -> None:
    seg(tmp_path, "convert", "labelme")
    dataset = tmp_path / "datasets" / "VOCdevkit" / "VOC2007"
    (dataset / "SegmentationClass" / "coins_01.png").unlink()
    expect(tmp_path, ("split",), 1, "coins_01", "no mask")
    (dataset / "SegmentationClass" / "coins_02.png").rename(dataset / "SegmentationClass" / "other.png")
    expect(tmp_path, ("split",), 1, "other", "no image")


def test_train_without_lists_and_with_broken_masks(tmp_path: Path, labelme_dir: Path) -> None:
    seg(tmp_path, "convert", "labelme")
    expect(tmp_path, ("train",), 1, "train.txt", "seg split")
    seg(tmp_path, "split")
    (tmp_path / "datasets/VOCdevkit/VOC2007/class_names.txt").write_text("_background_\nother\n", encoding="utf-8")
    masks = tmp_path / "datasets/VOCdevkit/VOC2007/SegmentationClass"
    for path in masks.iterdir():
        with Image.open(path) as mask:
            broken = mask.point(lambda value: 255 if value == 0 else 77)
        broken.save(path)
    expect(tmp_path, ("train", "--model", "unet"), 1, "holds the value 77", "class_names.txt")


def test_predict_with_a_broken_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not a checkpoint")
    expect(tmp_path, ("predict", str(SAMPLE), "--weights", "model.safetensors"), 1, "model.safetensors")


def test_unknown_output_and_unknown_option_in_yaml(tmp_path: Path) -> None:
    expect(tmp_path, ("predict", str(SAMPLE), "--save", "masks"), 2, "Did you mean 'mask'")
    (tmp_path / "run.yaml").write_text("epoch: 3\n", encoding="utf-8")
    expect(tmp_path, ("train", "--config", "run.yaml"), 2, "run.yaml", "'epochs'")


def test_picture_that_breaks_in_a_loader_process(tmp_path: Path, labelme_dir: Path) -> None:
    seg(tmp_path, "convert", "labelme", "--image-format", "keep")
    seg(tmp_path, "split")
    for picture in (tmp_path / "datasets/VOCdevkit/VOC2007/JPEGImages").iterdir():
        picture.write_bytes(picture.read_bytes()[:600])
    done = seg_program(tmp_path, "train", "--model", "unet", "--width", "4", "--size", "32", "-j", "2", code=1)
    assert "cannot be decoded" in done.stderr.splitlines()[-1]
    assert "DataLoader" not in done.stderr
