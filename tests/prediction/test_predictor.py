"""From a checkpoint to masks at the size of the picture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import toolkit
from tests.datasets import NAMES, Pixels, paint, scene
from tests.runs.checkpoints import saved_checkpoint, tiny_checkpoint
from toolkit.errors import CheckpointError, DataError, ImageError, UsageError
from toolkit.prediction.predictor import Predictor


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_checkpoint(tmp_path_factory.mktemp("run") / "weights" / "best.safetensors")


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return toolkit.load(checkpoint, device="cpu", amp=False)


def picture(size: tuple[int, int] = (70, 110)) -> Pixels:
    rng = np.random.default_rng(1)
    return paint(scene(size, 3, rng), rng)


def test_run_folder_and_file_give_the_same_predictor(checkpoint: Path, predictor: Predictor) -> None:
    from_folder = toolkit.load(checkpoint.parent.parent, device="cpu", amp=False)
    expected = predictor.predict(picture())
    assert len(np.unique(expected.mask)) > 1
    assert np.array_equal(from_folder.predict(picture()).mask, expected.mask)
    assert np.array_equal(toolkit.load(str(checkpoint), device="cpu", amp=False).predict(picture()).mask, expected.mask)


def test_array_path_and_text_give_the_same_prediction(tmp_path: Path, predictor: Predictor) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(picture()).save(path)
    expected = predictor.predict(picture())
    for given in (path, str(path)):
        found = predictor.predict(given)
        assert np.array_equal(found.mask, expected.mask)
        assert np.array_equal(found.confidence, expected.confidence)
        assert np.array_equal(found.image, picture())


@pytest.mark.parametrize("size", [(64, 64), (33, 200), (500, 7), (1, 1), (129, 128)])
def test_prediction_has_the_size_of_the_picture(predictor: Predictor, size: tuple[int, int]) -> None:
    found = predictor.predict(picture((max(9, size[0]), max(9, size[1])))[: size[0], : size[1]])
    assert found.mask.shape == found.confidence.shape == size
    assert found.mask.dtype == np.uint8 and found.confidence.dtype == np.float32
    assert found.mask.max() < 3
    assert found.confidence.min() >= 1 / 3 - 1e-6 and found.confidence.max() <= 1
    assert found.classes.names == NAMES


def test_prediction_is_the_models_own_done_by_hand(predictor: Predictor) -> None:
    """A picture of the network's size: normalise with the checkpoint's numbers, argmax, softmax."""
    rgb = picture((64, 64))
    model = tiny_checkpoint().build()
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        logits = model(((torch.from_numpy(rgb) / 255 - mean) / std).permute(2, 0, 1)[None])[0]
    confidence, mask = logits.softmax(0).max(0)
    found = predictor.predict(rgb)
    assert (found.mask == mask.numpy()).mean() > 0.999
    np.testing.assert_allclose(found.confidence, confidence.numpy(), atol=1e-3)


def test_views_of_arrays_are_predicted_like_copies(predictor: Predictor) -> None:
    """OpenCV's users hand in `image[:, :, ::-1]`."""
    rgb = picture()
    for view in (rgb[:, :, ::-1], rgb[:, ::-1], rgb[::2, 5:]):
        assert np.array_equal(predictor.predict(view).mask, predictor.predict(view.copy()).mask)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_photograph_gives_an_upright_mask(tmp_path: Path, predictor: Predictor, orientation: int) -> None:
    """Stored as a camera does, with an EXIF orientation, the same scene gives the same mask."""
    upright = Image.fromarray(picture((40, 90)))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the turns of Image.Transpose that undo each orientation
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "camera.jpg"
    stored.save(path, quality=100, subsampling=0, exif=exif)
    found = predictor.predict(path)
    assert found.mask.shape == (40, 90)
    assert np.abs(found.image.astype(int) - picture((40, 90)).astype(int)).mean() < 3
    assert (found.mask == predictor.predict(picture((40, 90))).mask).mean() > 0.9


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((20, 30, 3), np.float32),
        np.zeros((20, 30, 3), np.int64),
        np.zeros((20, 30), np.uint8),
        np.zeros((20, 30, 4), np.uint8),
        np.zeros((3, 20, 30), np.uint8),
        np.zeros((1, 20, 30, 3), np.uint8),
        np.zeros((0, 30, 3), np.uint8),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_arrays_of_another_kind_are_refused_with_what_came(predictor: Predictor, array: Pixels) -> None:
    with pytest.raises(DataError) as caught:
        predictor.predict(array)
    assert f"uint8 (H, W, 3) RGB in 0..255 is needed, got {array.dtype} {array.shape}" in str(caught.value)


def test_what_is_handed_in_stays_as_it_was(predictor: Predictor) -> None:
    rgb = picture()
    rgb.setflags(write=False)
    predictor.predict(rgb)
    assert np.array_equal(rgb, picture())


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_files_of_any_kind_are_read(tmp_path: Path, predictor: Predictor, mode: str) -> None:
    rgb = Image.fromarray(picture())
    made = (
        Image.fromarray(np.arange(70 * 110, dtype=np.uint16).reshape(70, 110)) if mode == "I;16" else rgb.convert(mode)
    )
    path = tmp_path / ("p.tif" if mode == "CMYK" else "p.png")
    made.save(path)
    assert predictor.predict(path).mask.shape == (70, 110)


def test_file_that_is_no_picture_or_absent_is_named(tmp_path: Path, predictor: Predictor) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("not a picture", encoding="utf-8")
    with pytest.raises(ImageError, match=r"notes\.jpg: not an image"):
        predictor.predict(path)
    with pytest.raises(ImageError, match=r"absent\.jpg: there is no such file"):
        predictor.predict(str(tmp_path / "absent.jpg"))


def test_missing_checkpoint_and_device_are_named(tmp_path: Path, checkpoint: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(CheckpointError, match=r"best\.safetensors: there is no such checkpoint"):
        toolkit.load(tmp_path / "run")
    with pytest.raises(UsageError, match=r"device: 'gpu' is not on this machine. There is: .*cpu"):
        toolkit.load(checkpoint, device="gpu")
