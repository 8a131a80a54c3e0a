"""From a checkpoint to masks at the size of the picture."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import toolkit
from tests.datasets import NAMES, Pixels, paint, scene
from tests.runs.checkpoints import saved_checkpoint, tiny_checkpoint
from toolkit.data.preprocess import Preprocess, resize_image
from toolkit.engines.base import Engine, ModelCard
from toolkit.errors import CheckpointError, DataError, ImageError, RunError, UsageError
from toolkit.labels.classmap import ClassMap
from toolkit.prediction.films.writer import FilmWriter
from toolkit.prediction.options import PredictOptions
from toolkit.prediction.predictor import Predictor
from toolkit.progress import Progress


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_checkpoint(tmp_path_factory.mktemp("run") / "weights" / "best.safetensors")


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return toolkit.load(checkpoint, device="cpu", precision="fp32")


def picture(size: tuple[int, int] = (70, 110)) -> Pixels:
    rng = np.random.default_rng(1)
    return paint(scene(size, 3, rng), rng)


def test_run_folder_and_file_give_the_same_predictor(checkpoint: Path, predictor: Predictor) -> None:
    from_folder = toolkit.load(checkpoint.parent.parent, device="cpu", precision="fp32")
    expected = predictor.predict(picture())
    assert len(np.unique(expected.mask)) > 1
    assert np.array_equal(from_folder.predict(picture()).mask, expected.mask)
    assert np.array_equal(
        toolkit.load(str(checkpoint), device="cpu", precision="fp32").predict(picture()).mask, expected.mask
    )


def test_array_path_and_text_give_the_same_prediction(tmp_path: Path, predictor: Predictor) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(picture()).save(path)
    expected = predictor.predict(picture())
    for given in (path, str(path)):
        found = predictor.predict(given)
        assert np.array_equal(found.mask, expected.mask)
        np.testing.assert_equal(found.sureness, expected.sureness)
        assert np.array_equal(found.image, picture())


@pytest.mark.parametrize("size", [(64, 64), (33, 200), (500, 7), (1, 1), (129, 128)])
def test_prediction_has_the_size_of_the_picture(predictor: Predictor, size: tuple[int, int]) -> None:
    rgb = picture((max(9, size[0]), max(9, size[1])))[: size[0], : size[1]]
    found = predictor.predict(rgb, confidence=True, probabilities=True)
    assert found.mask.shape == found.confidence.shape == size
    assert found.mask.dtype == np.uint8 and found.confidence.dtype == np.float32
    assert found.mask.max() < 3
    assert found.confidence.min() >= 1 / 3 - 1e-6 and found.confidence.max() <= 1
    assert found.classes.names == NAMES
    assert found.probabilities.shape == (3, *size) and found.probabilities.dtype == np.float16
    np.testing.assert_allclose(found.probabilities.astype(np.float32).sum(0), 1, atol=2e-3)
    chosen = np.take_along_axis(found.probabilities, found.mask[None].astype(np.int64), 0)[0]
    np.testing.assert_allclose(chosen, found.confidence, atol=1e-3)


def test_prediction_is_the_models_own_done_by_hand(predictor: Predictor) -> None:
    """A picture of the network's size: normalise with the checkpoint's numbers, argmax, softmax."""
    rgb = picture((64, 64))
    model = tiny_checkpoint().build()
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        logits = model(((torch.from_numpy(rgb) / 255 - mean) / std).permute(2, 0, 1)[None])[0]
    confidence, mask = logits.softmax(0).max(0)
    found = predictor.predict(rgb, confidence=True)
    assert (found.mask == mask.numpy()).mean() > 0.999
    np.testing.assert_allclose(found.confidence, confidence.numpy(), atol=1e-3)
    for k, sure in enumerate(found.sureness):
        assert sure == pytest.approx(confidence[mask == k].mean().item(), abs=1e-4, nan_ok=True)


def test_what_was_not_asked_for_is_said(predictor: Predictor) -> None:
    found = predictor.predict(picture())
    with pytest.raises(UsageError, match="confidence=True"):
        _ = found.confidence
    with pytest.raises(UsageError, match="probabilities=True"):
        _ = found.probabilities


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
    with pytest.raises(CheckpointError, match=r"run: holds no model"):
        toolkit.load(tmp_path / "run")
    with pytest.raises(UsageError, match=r"device: 'gpu' is not on this machine. There is: .*cpu"):
        toolkit.load(checkpoint, device="gpu")


# ---- what size the network sees


def seen_by(predictor: Predictor, picture: tuple[int, int], **options: Any) -> tuple[int, ...]:
    prepared = Predictor(predictor.engine, PredictOptions(**options)).prepare(np.zeros((*picture, 3), np.uint8))
    return prepared.shown.shape[:2]


def test_what_the_network_sees_is_what_was_asked_for(predictor: Predictor) -> None:
    """The tiny model was trained at 64 pixels; its stride is 32."""
    assert seen_by(predictor, (100, 200)) == (32, 64)
    assert seen_by(predictor, (100, 200), size=128) == (64, 128)
    assert seen_by(predictor, (100, 200), scale=0.5, tile=128) == (64, 128)
    assert seen_by(predictor, (100, 200), letterbox=True) == (64, 64)
    assert seen_by(predictor, (100, 200), letterbox=True, size=100) == (128, 128)
    assert seen_by(predictor, (100, 200), tile=256) == (128, 224), "a tile alone: every pixel as it is"
    assert seen_by(predictor, (150, 200), scale=0.5) == (75, 100), "cut into tiles of 64, padded one by one"


class Near(Engine):
    """Three convolutions: each logit depends on the pixels up to three away, as those of a network do further off."""

    name, precision = "near", "fp32"

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.card = ModelCard(ClassMap(NAMES), Preprocess(size=96), "near")
        layers = [
            torch.nn.Conv2d(3, 8, 3, padding=1),
            torch.nn.Conv2d(8, 8, 3, padding=1),
            torch.nn.Conv2d(8, 3, 3, padding=1),
        ]
        self.network = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network(self.card.preprocess.normalise(images))
        return found


@pytest.mark.parametrize(
    "options", [{"scale": 1.0}, {"tile": 96, "overlap": 0.5}, {"scale": 0.7, "tile": 64}, {"scale": 1.3, "batch": 3}]
)
def test_tiles_give_what_the_whole_gives(options: dict[str, Any]) -> None:
    rgb = picture((250, 360))
    whole = Predictor(Near(), PredictOptions(scale=options.get("scale", 1.0), tile=512))
    tiled = Predictor(Near(), PredictOptions(**options))
    assert whole.prepare(rgb).tiles is None and tiled.prepare(rgb).tiles is not None
    one, other = (predictor.predict(rgb, confidence=True) for predictor in (whole, tiled))
    np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-4)
    assert (one.mask == other.mask).mean() > 0.9999
    assert len(np.unique(one.mask)) == 3


def test_a_large_picture_tells_how_many_of_its_tiles_are_done() -> None:
    class Listener(Progress):
        def part(self, share: float, note: str = "") -> None:
            told.append((share, note))

    told: list[tuple[float, str]] = []
    predictor = Predictor(Near(), PredictOptions(tile=64, overlap=0.0, batch=2))
    pictures = [predictor.prepare(picture(size)) for size in ((100, 200), (32, 32), (64, 192))]
    predictor.see(pictures, progress=Listener())
    # two rows of four tiles and one of three, two at a time; the small one is seen as a whole
    assert [note for _, note in told] == [f"tile {n} of 11" for n in (2, 4, 6, 8, 10, 11)]
    assert [share for share, _ in told] == pytest.approx([n / 11 for n in (2, 4, 6, 8, 10, 11)])


def test_batches_of_mixed_sizes_give_what_single_pictures_give(predictor: Predictor) -> None:
    pictures = [picture((70, 110)), picture((110, 70)), picture((70, 110)), picture((64, 64)), picture((110, 70))]
    together = Predictor(predictor.engine, PredictOptions(batch=4))
    for rgb, found in zip(pictures, together.predict_many(pictures, confidence=True), strict=True):
        alone = predictor.predict(rgb, confidence=True)
        assert (found.mask == alone.mask).mean() > 0.999
        np.testing.assert_allclose(found.confidence, alone.confidence, atol=1e-4)


def test_flipping_makes_predictions_of_mirrored_pictures_mirrored(predictor: Predictor) -> None:
    flips = Predictor(predictor.engine, PredictOptions(tta=("flips",)))
    rgb = picture((64, 96))
    straight, mirrored = flips.predict(rgb, confidence=True), flips.predict(rgb[:, ::-1], confidence=True)
    np.testing.assert_allclose(straight.confidence, mirrored.confidence[:, ::-1], atol=1e-4)
    plain = predictor.predict(rgb, confidence=True)
    assert not np.allclose(straight.confidence, plain.confidence, atol=1e-4), "two views, not one"


def test_scales_are_averaged(predictor: Predictor) -> None:
    """By hand: the canvas at three sizes, logits brought back and averaged."""
    rgb = picture((64, 128))
    options = PredictOptions(size=128, tta=("scales",))
    found = Predictor(predictor.engine, options).predict(rgb, confidence=True)
    total = torch.zeros(1, 3, 64, 128)
    for size in ((64, 96), (64, 128), (64, 160)):  # 48 and 80 rows become 64: a multiple of the stride
        resized = torch.from_numpy(resize_image(rgb, size))[None]
        total += torch.nn.functional.interpolate(predictor.engine.logits(resized), (64, 128), mode="bilinear")
    expected = (total / 3).softmax(1)[0].max(0).values.numpy()
    np.testing.assert_allclose(found.confidence, expected, atol=1e-4)


def test_many_threads_may_use_one_predictor(predictor: Predictor) -> None:
    pictures = [picture((40 + 7 * number, 90)) for number in range(12)]
    expected = [predictor.predict(rgb).mask for rgb in pictures]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda rgb: predictor.predict(rgb).mask, pictures))
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_the_broken_one_of_many_is_named_when_its_turn_comes(tmp_path: Path, predictor: Predictor) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no")
    given: list[Pixels | Path] = [picture(), bad, picture()]
    found = predictor.predict_many(given)
    assert next(found).size == (70, 110)
    with pytest.raises(ImageError, match=r"bad\.png: not an image"):
        next(found)


def test_the_others_go_on_if_somebody_is_told_of_the_broken_ones(tmp_path: Path, predictor: Predictor) -> None:
    broken, array = tmp_path / "broken.png", np.zeros((8, 9, 3), np.uint8)
    broken.write_bytes(b"no picture")
    told: list[tuple[Any, str]] = []
    found = list(
        predictor.predict_many(
            [array, broken, array[:5]], failed=lambda picture, error: told.append((picture, str(error)))
        )
    )
    assert [None if each is None else each.size for each in found] == [(8, 9), None, (5, 9)]
    assert [picture for picture, _ in told] == [broken] and "broken.png: not an image" in told[0][1]


@pytest.mark.parametrize("words", [{"every": 0}, {"every": -1}, {"frames": 0}])
def test_no_frames_of_a_film_are_refused_in_words(predictor: Predictor, words: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(words))}: 1 .*or more is possible"):
        next(predictor.predict_film("walk.mp4", **words))


def test_a_text_of_several_words_is_a_list_of_them() -> None:
    assert PredictOptions(tta="flips, scales") == PredictOptions(tta=("flips", "scales"))
    assert PredictOptions(tta="flips").tta == ("flips",)


def test_a_film_gives_its_frames_with_their_numbers(tmp_path: Path, predictor: Predictor) -> None:
    path = tmp_path / "walk.mp4"
    with FilmWriter(path, 25, (64, 96)) as film:
        for number in range(9):
            film.add(np.roll(picture((64, 96)), 8 * number, axis=1))
    found = list(predictor.predict_film(path, every=2, frames=4))
    assert [number for number, _ in found] == [0, 2, 4, 6]
    for _, prediction in found:
        assert np.array_equal(prediction.mask, predictor.predict(prediction.image).mask)
        assert prediction.size == (64, 96)
    with pytest.raises(DataError, match=r"absent\.mp4: there is no such file"):
        next(predictor.predict_film(tmp_path / "absent.mp4"))


def test_what_is_no_picture_is_refused_in_words(predictor: Predictor) -> None:
    with pytest.raises(DataError, match="a file's name or an array is needed, got NoneType"):
        predictor.predict(None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"this is one\. Use predict"):
        next(predictor.predict_many("photo.jpg"))
    with pytest.raises(DataError, match="scale: the picture would have 50000 x 40000 pixels, the limit is 500 million"):
        Predictor(predictor.engine, PredictOptions(scale=100)).predict(np.zeros((400, 500, 3), np.uint8))


def test_logits_that_are_no_numbers_end_the_run() -> None:
    class Spoilt(Near):
        def logits(self, images: torch.Tensor) -> torch.Tensor:
            found = super().logits(images)
            found[:, :, 3, 5] = torch.nan
            return found

    for options in (PredictOptions(), PredictOptions(scale=1.0)):
        with pytest.raises(RunError, match="logits are no numbers"):
            Predictor(Spoilt(), options).predict(picture((150, 160)))


def test_probabilities_without_room_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a file that the disk has no room for would end the process when they are written."""

    def full(descriptor: int, start: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("toolkit.prediction.canvas._MOST_IN_MEMORY", 0)
    rgb = picture((50, 60))
    found = Predictor(Near()).predict(rgb, probabilities=True).probabilities
    assert isinstance(found, np.memmap)
    np.testing.assert_allclose(found.astype(np.float32).sum(0), 1, atol=2e-3)
    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(RunError, match="no room for the probabilities of a picture of 60 x 50 pixels"):
        Predictor(Near()).predict(rgb, probabilities=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size: 1 to"),
        ({"size": 64, "scale": 1.0}, "Give one of them"),
        ({"overlap": 0.95}, "overlap: 0 to 0.9"),
        ({"tile": 8}, "tile: 32 to"),
        ({"letterbox": True, "scale": 1.0}, "letterbox"),
        ({"tta": ("flip",)}, "Did you mean 'flips'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PredictOptions(**options)
