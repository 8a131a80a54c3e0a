"""Many pictures to files: the tree, the report, what happens to bad pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import toolkit
from tests.datasets import Pixels, paint, scene
from tests.runs.checkpoints import saved_checkpoint
from tests.training.tiny import Listener
from toolkit.errors import CheckpointError, DataError, UsageError
from toolkit.labels.classmap import voc_palette
from toolkit.prediction.run import predict


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return saved_checkpoint(tmp_path / "best.safetensors")


def picture(seed: int, size: tuple[int, int] = (40, 60)) -> Pixels:
    rng = np.random.default_rng(seed)
    return paint(scene(size, 3, rng), rng)


def photos() -> Path:
    """Four pictures in a tree."""
    root = Path("photos")
    for seed, name in enumerate(("a.png", "sub/b.png", "sub/b.bmp", "sub/deep/c d.png")):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed)).save(path)
    return root


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def pixels_of(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.array(image)


def test_each_kind_of_output_gets_a_tree_like_the_input(weights: Path) -> None:
    report = predict(photos(), weights=weights, out="out", device="cpu")
    names = ["a", "sub/b.bmp", "sub/b.png", "sub/deep/c d"]
    kinds = {"ids": ".png", "labelme": ".json", "mask": ".png", "overlay": ".jpg"}
    expected = sorted(f"{kind}/{name}{suffix}" for kind, suffix in kinds.items() for name in names)
    assert files(Path("out")) == sorted([*expected, "manifest.json"])
    assert (report.images, report.ok, report.root) == (4, True, Path("out"))


def test_masks_are_the_predictions_in_voc_colours_and_ids_their_plain_numbers(weights: Path) -> None:
    predict(photos(), weights=weights, out="out", device="cpu", amp=False)
    predictor = toolkit.load(weights, device="cpu", amp=False)
    seen: set[int] = set()
    for name in ("a.png", "sub/deep/c d.png"):
        expected = predictor.predict(Path("photos", name)).mask
        seen |= set(np.unique(expected).tolist())
        with Image.open(Path("out/mask", name)) as image:
            assert image.mode == "P"
            assert np.array_equal(np.array(image), expected)
            assert np.array_equal(np.array(image.convert("RGB")), voc_palette()[expected])
        with Image.open(Path("out/ids", name)) as image:
            assert image.mode == "L"
            assert np.array_equal(np.array(image), expected)
    assert len(seen) > 1


def test_overlay_tints_classes_and_leaves_the_background_as_it_is(weights: Path) -> None:
    predict(photos(), weights=weights, out="out", device="cpu", save=["overlay", "ids"])
    shown, ids = pixels_of(Path("out/overlay/a.jpg")).astype(int), pixels_of(Path("out/ids/a.png"))
    difference = np.abs(shown - picture(0)).mean(2)
    assert difference[ids == 0].mean() < 8
    assert difference[ids != 0].mean() > 20


def test_report_counts_predicted_pixels_by_class(weights: Path) -> None:
    report = predict(photos(), weights=weights, out="out", device="cpu", save=["ids"])
    ids = np.concatenate([pixels_of(path).ravel() for path in Path("out/ids").rglob("*.png")])
    assert report.pixels == {
        "_background_": int((ids == 0).sum()),
        "disc": int((ids == 1).sum()),
        "bar": int((ids == 2).sum()),
    }
    manifest = json.loads(Path("out/manifest.json").read_text(encoding="utf-8"))
    assert manifest == {"seg": toolkit.__version__, **report.as_dict()}


def test_bad_pictures_are_skipped_and_reported_and_the_others_go_on(weights: Path) -> None:
    root, listener = photos(), Listener()
    (root / "broken.jpg").write_bytes(b"no picture")
    cut = (root / "a.png").read_bytes()
    (root / "cut.png").write_bytes(cut[: len(cut) // 2])
    report = predict(root, weights=weights, out="out", device="cpu", save=["mask"], progress=listener)
    assert report.images == 4 and not report.ok
    assert [item.place for item in report.failures] == [str(root / "broken.jpg"), str(root / "cut.png")]
    assert "not an image" in report.failures[0].reason
    assert len(listener.warned) == 2 and "broken.jpg" in listener.warned[0] and "Skipped" in listener.warned[0]
    assert files(Path("out/mask")) == ["a.png", "sub/b.bmp.png", "sub/b.png.png", "sub/deep/c d.png"]
    manifest = json.loads(Path("out/manifest.json").read_text(encoding="utf-8"))
    assert [failure["place"] for failure in manifest["failures"]] == [item.place for item in report.failures]


def test_nothing_but_bad_pictures_is_an_error(weights: Path) -> None:
    Path("broken.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"none of 1 pictures could be read; the first: broken\.jpg"):
        predict("broken.jpg", weights=weights, out="out", device="cpu")


def test_without_out_runs_are_numbered_and_nothing_is_overwritten(weights: Path) -> None:
    root = photos()
    first = predict(root, weights=weights, device="cpu", save=["ids"])
    second = predict(root, weights=weights, device="cpu", save=["ids"])
    assert (first.root, second.root) == (Path("runs/predict-1"), Path("runs/predict-2"))
    with pytest.raises(UsageError, match="is not an empty folder"):
        predict(root, weights=weights, device="cpu", out=first.root)


def test_newest_run_predicts_unless_one_is_named(weights: Path) -> None:
    for number in (1, 2):
        run = Path(f"runs/train-{number}")
        run.mkdir(parents=True)
        (run / "config.yaml").touch()
        saved_checkpoint(run / "weights" / "best.safetensors", names=tuple(f"{number}{k}" for k in "abc"))
    root = photos()
    assert list(predict(root, device="cpu", save=["ids"]).pixels) == ["2a", "2b", "2c"]
    chosen = predict(root, run="runs/train-1", device="cpu", save=["ids"])
    assert list(chosen.pixels) == ["1a", "1b", "1c"]
    assert chosen.checkpoint == Path("runs/train-1/weights/best.safetensors")


def test_wrong_requests_are_refused_before_anything_is_written(weights: Path) -> None:
    root = photos()
    with pytest.raises(UsageError, match="Give one of them"):
        predict(root, run="runs/train-1", weights=weights, out="out")
    with pytest.raises(UsageError, match=r"output 'masks' is not known\. Did you mean 'mask'"):
        predict(root, weights=weights, out="out", save=["masks"])
    with pytest.raises(UsageError, match="name at least one kind of output"):
        predict(root, weights=weights, out="out", save=[])
    with pytest.raises(DataError, match="absent: there is no such file or folder"):
        predict([root, "absent"], weights=weights, out="out")
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: there is no such checkpoint"):
        predict(root, weights="absent.safetensors", out="out")
    with pytest.raises(DataError, match="no trained model in runs"):
        predict(root, out="out")
    assert not Path("out").exists() and not Path("runs").exists()


def test_classes_without_background_are_predicted_and_written_in_every_way(tmp_path: Path) -> None:
    weights = saved_checkpoint(tmp_path / "scene.safetensors", names=("road", "tree", "sky"))
    report = predict(photos(), weights=weights, out="out", device="cpu")
    assert report.ok and list(report.pixels) == ["road", "tree", "sky"]
    assert len(files(Path("out"))) == 4 * 4 + 1
    content = json.loads(Path("out/labelme/a.json").read_text(encoding="utf-8"))
    assert {shape["label"] for shape in content["shapes"]} <= {"road", "tree", "sky"}
