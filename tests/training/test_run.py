"""What a training run leaves behind, and that its figures are true."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import jaccard_score

import toolkit
from tests.datasets import NAMES, mask_of, stems_of, write_mask, write_voc
from tests.training.tiny import Listener, log_of, stop_when_asked, tiny_config
from toolkit.errors import Interrupted
from toolkit.models.build import build_model
from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder
from toolkit.training.plan import make_plan
from toolkit.training.run import TrainReport, _report, train
from toolkit.training.state import State


@dataclass(frozen=True)
class Trained:
    dataset: Path
    report: TrainReport
    said: Listener

    @property
    def root(self) -> Path:
        return self.report.run.root


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One run of five epochs for the tests that look at what it left."""
    folder, said = tmp_path_factory.mktemp("trained"), Listener()
    dataset = write_voc(folder / "voc", train=6, val=3)
    config = tiny_config(dataset, epochs=8, lr=0.01, width=8)
    return Trained(dataset, train(config, out=folder / "run", progress=said), said)


@pytest.fixture
def dataset(tmp_path: Path) -> Iterator[Path]:
    yield write_voc(tmp_path / "voc")


def test_a_run_leaves_the_files_that_are_promised(trained: Trained) -> None:
    files = {path.relative_to(trained.root).as_posix() for path in trained.root.rglob("*") if path.is_file()}
    weights = {f"weights/{name}" for name in ("best.safetensors", "last.safetensors", "state.pt", "good.pt")}
    assert files == {".lock", "config.yaml", "manifest.json", "log.csv", "log.txt", *weights}


def test_config_holds_effective_values_only(trained: Trained) -> None:
    values = yaml.safe_load((trained.root / "config.yaml").read_text(encoding="utf-8"))
    assert values["lr"] == 0.01 and values["freeze_epochs"] == 0 and values["epochs"] == 8
    assert values["amp"] is False and values["workers"] == 0 and values["device"] == "cpu"
    assert [key for key, value in values.items() if value is None] == ["fold"]


def test_weights_from_a_file_are_kept_with_the_run(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.yaml"
    path.write_text("bar: 3\n_background_: 0.1\ndisc: 2\n", encoding="utf-8")
    config = tiny_config(dataset, epochs=2, class_weights=str(path))
    with pytest.raises(Interrupted):
        train(config, out=tmp_path / "run", should_stop=stop_when_asked(2))
    path.unlink()
    train(resume=tmp_path / "run")
    assert TrainConfig.read(tmp_path / "run" / "config.yaml").class_weights == "0.1,2.0,3.0"


@pytest.mark.parametrize(("asked", "settled"), [("auto", "sqrt"), ("none", "none"), ("effective:0.9", "effective:0.9")])
def test_the_method_that_was_taken_is_written(dataset: Path, tmp_path: Path, asked: str, settled: str) -> None:
    train(tiny_config(dataset, epochs=1, class_weights=asked), out=tmp_path / "run")
    assert TrainConfig.read(tmp_path / "run" / "config.yaml").class_weights == settled


def test_defaults_that_depend_on_the_model_are_settled_and_written(dataset: Path, tmp_path: Path) -> None:
    config = tiny_config(dataset, epochs=1, workers=None, device="auto", lr=None, freeze_epochs=None, width=None)
    train(replace(config, size=32), out=tmp_path / "run")
    written = TrainConfig.read(tmp_path / "run" / "config.yaml")
    assert (written.lr, written.freeze_epochs) == (1e-3, 0)
    assert written.workers is not None and written.device != "auto"


def test_manifest_says_what_was_trained_on_what(trained: Trained) -> None:
    manifest = json.loads((trained.root / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["classes"] == list(NAMES)
    assert manifest["train"] == stems_of(trained.dataset, "train")
    assert manifest["val"] == stems_of(trained.dataset, "val") == list(trained.report.val_stems)
    assert (manifest["seg"], manifest["torch"]) == (toolkit.__version__, torch.__version__)


def test_log_has_a_row_an_epoch_and_a_column_a_class(trained: Trained) -> None:
    rows = log_of(trained.root)
    assert [row["epoch"] for row in rows] == [str(n) for n in range(1, 9)]
    means = ["miou", "pixel_accuracy", "mean_recall", "mean_precision", "fw_iou", "mean_dice"]
    classes = [f"iou.{name}" for name in NAMES]
    times = ["data_seconds", "step_seconds", "seconds"]
    assert list(rows[0]) == ["epoch", "lr", "train_loss", "val_loss", *means, *classes, *times]
    for row in rows:
        assert all(math.isfinite(float(value)) for value in row.values())
        each = [float(row[column]) for column in classes]
        assert float(row["miou"]) == pytest.approx(sum(each) / 3)


def test_a_run_learns(trained: Trained) -> None:
    rows = log_of(trained.root)
    assert float(rows[-1]["train_loss"]) < 0.6 * float(rows[0]["train_loss"])
    assert trained.report.scores.miou > 0.5


def test_report_is_of_the_epoch_with_the_highest_miou(trained: Trained) -> None:
    rows, report = log_of(trained.root), trained.report
    best = max(rows, key=lambda row: float(row["miou"]))
    assert report.best_epoch == int(best["epoch"]) and report.epochs == 8
    assert report.scores.miou == float(best["miou"])
    assert report.classes == NAMES
    plain = json.loads(json.dumps(report.as_dict()))
    assert plain["scores"]["miou"] == pytest.approx(report.scores.miou, abs=1e-6)


def test_scores_are_those_of_the_best_checkpoint_by_an_independent_count(trained: Trained) -> None:
    """Predictions of the saved file, at the original size, against the masks, counted by scikit-learn."""
    predictor = toolkit.load(trained.report.best, device="cpu", precision="fp32")
    truths, predictions = [], []
    for stem in stems_of(trained.dataset, "val"):
        truth = mask_of(trained.dataset, stem)
        with Image.open(trained.dataset / "JPEGImages" / f"{stem}.png") as image:
            prediction = predictor.predict(np.array(image)).mask
        assert prediction.shape == truth.shape
        truths.append(truth[truth != 255])
        predictions.append(prediction[truth != 255])
    expected = jaccard_score(np.concatenate(truths), np.concatenate(predictions), average=None, labels=range(3))
    assert trained.report.scores.iou == pytest.approx(tuple(expected))
    assert trained.report.scores.miou == pytest.approx(expected.mean())


def test_validation_loss_is_torchs_on_the_fitted_pictures(dataset: Path, tmp_path: Path) -> None:
    """Square pictures of the network's size need no resizing: the whole chain can be done again by hand."""
    rng = np.random.default_rng(3)
    for stem in stems_of(dataset, "val"):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(dataset / "JPEGImages" / f"{stem}.png")
        write_mask(dataset, stem, rng.choice(np.array([0, 1, 2, 255], np.uint8), (32, 32)))
    report = train(tiny_config(dataset, epochs=1, class_weights="1,3,0.5"), out=tmp_path / "run")
    model = build_model("unet", 3, width=4).eval()
    model.load_state_dict(load_file(report.last))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    losses = []
    for stem in stems_of(dataset, "val"):
        with Image.open(dataset / "JPEGImages" / f"{stem}.png") as image:
            pixels = (torch.from_numpy(np.array(image)) / 255 - mean) / std
        target = torch.from_numpy(mask_of(dataset, stem)).long()
        with torch.inference_mode():
            logits = model(pixels.permute(2, 0, 1)[None])
        weights = torch.tensor([1, 3, 0.5])
        losses.append(float(torch.nn.functional.cross_entropy(logits, target[None], weights, ignore_index=255)))
    (row,) = log_of(tmp_path / "run")
    assert float(row["val_loss"]) == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_the_plan_is_said(trained: Trained) -> None:
    text = "\n".join(trained.said.said)
    assert "6 training and 3 validation images" in text
    parameters = sum(p.numel() for p in build_model("unet", 3, width=8).parameters())
    assert f"{parameters:,} parameters" in text
    assert "epoch 8/8" in text
    pixels = sum(int((mask_of(trained.dataset, stem) == 1).sum()) for stem in stems_of(trained.dataset, "train"))
    assert any("disc" in line and f"{pixels:,}" in line for line in trained.said.said)
    assert trained.said.warned == []


def changed_by_one_step(dataset: Path, out: Path, **changes: object) -> float:
    """The largest change of a head weight in a run of a single step: for Adam's first step, the learning rate."""
    config = tiny_config(dataset, epochs=1, batch=8, **changes)
    torch.manual_seed(config.seed)
    before = build_model("unet", 3, width=4).state_dict()["head.weight"]
    after = load_file(train(config, out=out).last)["head.weight"]
    return float((after - before).abs().max())


def test_given_learning_rate_is_the_one_used(dataset: Path, tmp_path: Path) -> None:
    assert changed_by_one_step(dataset, tmp_path / "a", lr=0.0123) == pytest.approx(0.0123, rel=1e-3)
    assert changed_by_one_step(dataset, tmp_path / "b", lr=None) == pytest.approx(0.001, rel=1e-3)
    assert changed_by_one_step(dataset, tmp_path / "c", lr=0.0) == 0


def test_learning_rate_of_the_log_starts_at_the_given_one_and_ends_at_a_hundredth(
    dataset: Path, tmp_path: Path
) -> None:
    train(tiny_config(dataset, epochs=4, batch=8, lr=0.0123, warmup_epochs=1.0), out=tmp_path / "run")
    rates = [float(row["lr"]) for row in log_of(tmp_path / "run")]
    assert rates[0] == 0.0123 and rates[-1] == pytest.approx(0.000123)
    assert rates == sorted(rates, reverse=True)


def test_resting_encoder_keeps_its_weights_and_statistics(dataset: Path, tmp_path: Path) -> None:
    """And they are those of the file that was given."""
    torch.manual_seed(77)
    encoder = build_model("unet", 3, width=4).encoder.state_dict()
    path = tmp_path / "encoder.safetensors"
    save_file({f"encoder.{key}": value for key, value in encoder.items()}, path)
    config = tiny_config(dataset, encoder_weights=str(path), freeze_epochs=2, lr=0.01)
    after = load_file(train(config, out=tmp_path / "rest").last)
    assert all(torch.equal(after[f"encoder.{key}"], value) for key, value in encoder.items())
    after = load_file(train(replace(config, freeze_epochs=1), out=tmp_path / "wake").last)
    assert not torch.equal(after["encoder.blocks.0.0.weight"], encoder["blocks.0.0.weight"])
    assert not torch.equal(after["encoder.blocks.0.1.running_mean"], encoder["blocks.0.1.running_mean"])


def test_learnt_encoder_rests_for_a_fifth_of_the_epochs_by_default(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "encoder.pt"
    torch.save(build_model("unet", 3, width=4).encoder.state_dict(), path)
    listener = Listener()
    config = tiny_config(dataset, encoder_weights=str(path), epochs=5, batch=8)
    train(config, out=tmp_path / "run", progress=listener)
    assert TrainConfig.read(tmp_path / "run" / "config.yaml").freeze_epochs == 1
    assert any(f"Encoder weights: {path}" in line for line in listener.said)


def test_predicting_one_class_only_is_warned_about_with_what_to_try(dataset: Path, tmp_path: Path) -> None:
    listener = Listener()
    config = tiny_config(dataset, epochs=6, lr=0.03, class_weights="1,0,0")
    report = train(config, out=tmp_path / "run", progress=listener)
    assert report.scores.recall[1:] == (0, 0)
    given, warning = listener.warned
    assert given == "classes 'disc', 'bar' are not learnt: weight 0, as given."
    assert "predicts nothing but '_background_'" in warning and "--class-weights auto" in warning


def test_class_in_no_training_image_is_warned_about(dataset: Path, tmp_path: Path) -> None:
    (dataset / "class_names.txt").write_text("_background_\ndisc\nbar\nghost\n", encoding="utf-8")
    listener = Listener()
    report = train(tiny_config(dataset, class_weights="inverse"), out=tmp_path / "run", progress=listener)
    assert any("class 'ghost' is in no training image" in line for line in listener.warned)
    assert math.isnan(report.scores.recall[3])


def test_patience_stops_the_run_and_the_best_model_is_kept(dataset: Path, tmp_path: Path) -> None:
    config = tiny_config(dataset, epochs=40, patience=3, lr=0.03, class_weights="1,0,0")
    report = train(config, out=tmp_path / "run")
    rows = log_of(tmp_path / "run")
    assert report.epochs == len(rows) == report.best_epoch + 3 < 40
    highest = max(float(row["miou"]) for row in rows)
    assert float(rows[report.best_epoch - 1]["miou"]) == highest
    again = train(resume=tmp_path / "run")
    assert (again.epochs, again.best_epoch) == (report.epochs, report.best_epoch), "it stays stopped"


@pytest.mark.parametrize("palette", [True, False], ids=["palette", "grey"])
def test_class_0_need_not_be_background(tmp_path: Path, palette: bool) -> None:
    names = ("road", "tree", "sky")
    dataset = write_voc(tmp_path / "voc", names=names, palette=palette)
    report = train(tiny_config(dataset, epochs=5, lr=0.01, class_weights="auto"), out=tmp_path / "run")
    assert report.classes == names
    assert not math.isnan(report.scores.iou[0])
    assert toolkit.load(report.best).classes.names == names


def test_grey_and_palette_masks_train_alike(tmp_path: Path) -> None:
    grey, palette = (write_voc(tmp_path / str(kind), palette=kind) for kind in (False, True))
    weights = [
        load_file(train(tiny_config(dataset, epochs=1), out=dataset / "run").last) for dataset in (grey, palette)
    ]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_classes_are_called_by_their_ids_where_no_names_are_given(dataset: Path, tmp_path: Path) -> None:
    (dataset / "class_names.txt").unlink()
    listener = Listener()
    report = train(tiny_config(dataset, epochs=1), out=tmp_path / "run", progress=listener)
    assert report.classes == ("class 0", "class 1", "class 2")
    assert any("class_names.txt is missing" in line for line in listener.warned)


def test_all_ignored_validation_masks_leave_a_run_without_a_score(dataset: Path, tmp_path: Path) -> None:
    for stem in stems_of(dataset, "val"):
        write_mask(dataset, stem, np.full_like(mask_of(dataset, stem), 255))
    report = train(tiny_config(dataset), out=tmp_path / "run")
    assert math.isnan(report.scores.miou)
    assert report.best.is_file()
    assert [row["miou"] for row in log_of(tmp_path / "run")] == ["nan", "nan"]


def test_imagenet_weights_that_cannot_be_had(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` goes on and says so; `imagenet` does not. With the default model, which is large: stopped after a step."""

    def unplugged(*_: object, **__: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr("torch.hub.urlopen", unplugged)
    config = tiny_config(dataset, model=TrainConfig().model, width=None, epochs=1, batch=4, encoder_weights="auto")
    listener = Listener()
    with pytest.raises(Interrupted):
        train(config, out=tmp_path / "auto", progress=listener, should_stop=stop_when_asked(1))
    assert any("vgg16-397923af.pth" in line and "Going on without" in line for line in listener.warned)
    assert TrainConfig.read(tmp_path / "auto" / "config.yaml").freeze_epochs == 0, "random weights are not kept at rest"
    with pytest.raises(toolkit.SegError, match=r"vgg16-397923af\.pth.*torch-home"):
        train(replace(config, encoder_weights="imagenet"), out=tmp_path / "imagenet")
    assert not (tmp_path / "imagenet").exists()


@pytest.mark.parametrize(
    ("counts", "weights", "said"),
    [
        # a few stray pixels are not a class that was learnt
        ([[9000, 3, 1], [500, 2, 0], [400, 0, 1]], "none", "predicts nothing but '_background_'"),
        ([[9000, 3, 1], [100, 402, 0], [401, 0, 0]], "none", "class 'bar': next to none of the pixels are found"),
        ([[9000, 3, 1], [100, 402, 0], [401, 0, 0]], "none", "give small classes more weight: --class-weights auto."),
        ([[9000, 3, 1], [100, 402, 0], [401, 0, 3]], "sqrt", "--class-weights inverse."),
        ([[9000, 3, 1], [100, 402, 0], [401, 0, 3]], "inverse", "larger --size, or annotate more."),
        ([[9000, 3, 1], [100, 402, 0], [401, 0, 40]], "none", ""),
        ([[9904, 0, 0], [0, 0, 0], [0, 0, 0]], "none", ""),  # nothing else is there to be found
    ],
)
def test_classes_that_are_not_found_are_named_with_what_to_try(
    dataset: Path, tmp_path: Path, counts: list[list[int]], weights: str, said: str
) -> None:
    plan = make_plan(tiny_config(dataset, class_weights=weights), Listener())
    listener = Listener()
    _report(plan, RunFolder(tmp_path), State(epoch=2, best_counts=torch.tensor(counts)), listener)
    assert len(listener.warned) == bool(said)
    assert all(said in line for line in listener.warned)
