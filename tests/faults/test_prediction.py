"""Faults of other programs in predicting: each would fail here."""

import builtins
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import toolkit
from tests.annotations import encoded, picture
from tests.runs.checkpoints import saved_checkpoint
from toolkit.cli.app import main


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    return saved_checkpoint(tmp_path / "best.safetensors")


def test_predicting_asks_for_a_name_and_opens_a_window(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """EOFError without a terminal, failure on a server: no input, no screen and no other program is used."""

    def forbidden(*arguments: object, **_: object) -> None:
        raise AssertionError(f"asked for a terminal or another program: {arguments}")

    for place, name in ((builtins, "input"), (subprocess, "Popen"), (Image.Image, "show")):
        monkeypatch.setattr(place, name, forbidden)
    monkeypatch.setattr(sys, "stdin", None)
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    Path("in/a.jpg").write_bytes(encoded(picture()))
    monkeypatch.setattr(sys, "argv", ["seg", "predict", "in", "--weights", str(weights), "--out", "out"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code in (0, None), capsys.readouterr().err
    assert Path("out/mask/a.png").is_file()


def test_masks_of_jpegs_are_saved_as_jpeg(weights: Path) -> None:
    """A mask of three colours then has thousands: whatever the picture's type, masks are exact."""
    Path("in/a.jpg").write_bytes(encoded(picture(), quality=30))
    toolkit.predict("in", weights=weights, out="out", device="cpu")
    expected = toolkit.load(weights, device="cpu").predict(Path("in/a.jpg")).mask
    assert len(np.unique(expected)) > 1
    for kind in ("mask", "ids"):
        (path,) = (path for path in Path("out", kind).iterdir())
        assert path.suffix == ".png"
        with Image.open(path) as image:
            assert image.mode in ("P", "L")
            assert np.array_equal(np.array(image), expected), f"{kind}: the plain class ids"


def test_pictures_in_folders_below_are_passed_over(weights: Path) -> None:
    for name in ("a.jpg", "below/b.jpg", "below/deeper/c.jpg"):
        path = Path("in", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture()))
    report = toolkit.predict("in", weights=weights, out="out", device="cpu", save=["ids"])
    assert report.images == 3
    assert sorted(path.relative_to("out/ids").as_posix() for path in Path("out/ids").rglob("*.png")) == [
        "a.png",
        "below/b.png",
        "below/deeper/c.png",
    ]


def test_how_much_of_each_class_was_found_is_only_printed(weights: Path) -> None:
    Path("in/a.jpg").write_bytes(encoded(picture()))
    report = toolkit.predict("in", weights=weights, out="out", device="cpu", save=["ids"])
    with Image.open("out/ids/a.png") as image:
        ids = np.array(image)
    assert list(report.pixels.values()) == np.bincount(ids.ravel(), minlength=3).tolist()
    assert sum(report.pixels.values()) == ids.size


def test_turned_photographs_are_predicted_sideways(weights: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    with Image.fromarray(picture(size=(24, 36))) as upright:
        upright.rotate(-90, expand=True).save("in/a.png", exif=exif)
        upright.save("in/b.png")
    turned, plain = (toolkit.load(weights, device="cpu").predict(Path("in", name)).mask for name in ("a.png", "b.png"))
    assert turned.shape == (24, 36)
    assert np.array_equal(turned, plain)


def test_the_checkpoint_does_not_say_what_it_is(weights: Path) -> None:
    """Classes, model, width and size travel in the one file; nothing else is asked for or looked at."""
    moved = weights.rename(weights.parent / "elsewhere.bin.safetensors")
    predictor = toolkit.load(moved, device="cpu")
    assert predictor.classes.names == ("_background_", "disc", "bar")
    assert predictor.predict(picture(size=(70, 50))).mask.shape == (70, 50)


def test_the_shape_of_the_input_must_be_a_multiple_of_the_stride(weights: Path) -> None:
    """torch.cat fails at 375 x 500."""
    predictor = toolkit.load(weights, device="cpu")
    for size in ((37, 50), (1, 1), (1, 90), (64, 64), (65, 63)):
        assert predictor.predict(picture(size=size)).mask.shape == size
