"""Data that cannot be trained on is refused before training, with the name of the file."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.datasets import mask_of, stems_of, write_list, write_mask, write_voc
from tests.training.tiny import tiny_config
from toolkit.errors import DataError, DatasetError, SegError, UsageError
from toolkit.training.run import train


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "voc")


def refusal(dataset: Path, **changes: object) -> SegError:
    """The error of a run that must not start; nothing may be left of it."""
    out = dataset.parent / "run"
    with pytest.raises(SegError) as caught:
        train(tiny_config(dataset, **changes), out=out)
    assert not out.exists(), "a run that cannot start leaves no folder"
    return caught.value


@pytest.mark.parametrize("side", ["train", "val"])
def test_id_outside_the_class_list(dataset: Path, side: str) -> None:
    stem = stems_of(dataset, side)[1]
    mask = mask_of(dataset, stem)
    mask[3, :4] = 3
    path = write_mask(dataset, stem, mask)
    error = refusal(dataset)
    assert isinstance(error, DatasetError)
    assert str(error).startswith(f"{path}: holds the value 3 (4 pixels), but class_names.txt lists 3 classes")


@pytest.mark.parametrize("side", ["train", "val"])
def test_missing_or_empty_list(dataset: Path, side: str) -> None:
    path = write_list(dataset, side, [])
    error = refusal(dataset)
    assert isinstance(error, DatasetError)
    assert str(error).startswith(f"{path}: names no image") and "seg split" in str(error)
    path.unlink()
    error = refusal(dataset)
    assert isinstance(error, DatasetError)
    assert str(error).startswith(f"{path}: there is no such list") and "seg split" in str(error)


@pytest.mark.parametrize("side", ["train", "val"])
@pytest.mark.parametrize("folder", ["JPEGImages", "SegmentationClass"])
def test_missing_picture_or_mask(dataset: Path, side: str, folder: str) -> None:
    stem = stems_of(dataset, side)[0]
    (dataset / folder / f"{stem}.png").unlink()
    error = refusal(dataset)
    assert isinstance(error, DataError)
    assert stem in str(error) and folder in str(error)


def test_all_ignored_training_masks(dataset: Path) -> None:
    for stem in stems_of(dataset, "train"):
        write_mask(dataset, stem, np.full_like(mask_of(dataset, stem), 255))
    error = refusal(dataset)
    assert isinstance(error, DatasetError)
    assert "train.txt: every pixel of the training masks is ignore" in str(error)


def test_one_class_only(dataset: Path) -> None:
    (dataset / "class_names.txt").write_text("_background_\n", encoding="utf-8")
    error = refusal(dataset)
    assert isinstance(error, DatasetError)
    assert "class_names.txt: lists one class only" in str(error)


def test_mask_of_colours(dataset: Path) -> None:
    from PIL import Image

    path = dataset / "SegmentationClass" / "pic_1.png"
    Image.new("RGB", (46, 43)).save(path)
    error = refusal(dataset)
    assert isinstance(error, DataError)
    assert str(error).startswith(f"{path}: a mask holds one class id a pixel")


@pytest.mark.parametrize("side", ["train", "val"])
def test_mask_of_another_size_is_named(dataset: Path, side: str) -> None:
    stem = stems_of(dataset, side)[0]
    write_mask(dataset, stem, np.zeros((20, 20), np.uint8))
    assert re.search(rf"{stem}\.png: the picture has .* pixels, its mask 20 x 20", str(refusal(dataset)))


def test_folder_that_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert "photos: not a dataset" in str(refusal(tmp_path / "photos"))
    assert "absent: there is no such folder" in str(refusal(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "unett"}, "model 'unett' is not known. Did you mean 'unet'?"),
        ({"loss": "cee"}, "loss 'cee' is not known. Did you mean 'ce'?"),
        ({"device": "cuda:99"}, "device: 'cuda:99' is not on this machine. There is: "),
        ({"class_weights": "1,2"}, "class weights: 3 numbers are needed (_background_, disc, bar), got 2"),
        ({"freeze_epochs": 3}, "freeze_epochs: 3 is more than the 2 epochs there are"),
        ({"encoder_weights": "imagenet"}, "there are no ImageNet weights for unet"),
        ({"model": "vgg16-unet"}, "width: vgg16-unet has a fixed width"),
    ],
)
def test_options_that_do_not_fit(dataset: Path, changes: dict[str, object], said: str) -> None:
    error = refusal(dataset, **changes)
    assert isinstance(error, UsageError)
    assert said in str(error)


def test_missing_file_of_weights(dataset: Path) -> None:
    assert "absent.pt: there is no such file of weights" in str(refusal(dataset, encoder_weights="absent.pt"))
