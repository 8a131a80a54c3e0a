"""Faults of other programs in training and scoring: each would fail here."""

import math
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import toolkit
from tests.datasets import mask_of, stems_of, write_list, write_mask, write_sample, write_voc
from tests.training.tiny import Listener, Rows, log_of, stop_when_asked, timeless, tiny_config
from toolkit.data.augment import AUGMENTS
from toolkit.data.dataset import TrainingSamples, VocSamples
from toolkit.data.loaders import TrainingLoader
from toolkit.data.preprocess import Preprocess
from toolkit.errors import Interrupted
from toolkit.labels.annotation import Mask
from toolkit.losses import LOSSES
from toolkit.losses.build import build_loss
from toolkit.metrics import MEANS, Confusion, Scores
from toolkit.models.build import build_model
from toolkit.runs.checkpoint import Checkpoint
from toolkit.runs.config import TrainConfig
from toolkit.runs.state import load_state
from toolkit.voc.folder import VocFolder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "voc")


# the learning rate


@pytest.mark.parametrize(("optimizer", "batch"), [("adam", 1), ("adam", 16), ("adamw", 2), ("sgd", 1), ("sgd", 16)])
def test_the_learning_rate_that_is_typed_is_not_the_one_used(tmp_path: Path, optimizer: str, batch: int) -> None:
    """Adam's is always 1e-4 and that of SGD is scaled by the batch, while the typed one is shown."""
    dataset = write_voc(tmp_path / "voc", train=4, val=1)
    config = tiny_config(dataset, epochs=4, optimizer=optimizer, lr=0.0314, batch=batch, warmup_epochs=1.0)
    toolkit.train(config, out=tmp_path / "run")
    rates = [float(row["lr"]) for row in log_of(tmp_path / "run")]
    assert rates[0] == pytest.approx(0.0314), "at the last step of warming up"
    assert max(rates) == rates[0] and TrainConfig.read(tmp_path / "run" / "config.yaml").lr == 0.0314


def test_the_learning_rate_in_the_log_is_not_the_one_used(dataset: Path, tmp_path: Path) -> None:
    """The first step of plain SGD moves a weight by rate times gradient: twice the rate, twice as far."""

    def moved(lr: float) -> torch.Tensor:
        config = tiny_config(dataset, epochs=1, batch=5, optimizer="sgd", lr=lr, schedule="constant", warmup_epochs=0.0)
        torch.manual_seed(config.seed)
        before = build_model("unet", 3, width=4).state_dict()["head.weight"]
        report = toolkit.train(config, out=tmp_path / f"run-{lr}")
        assert float(log_of(report.run.root)[0]["lr"]) == lr
        moved_by: torch.Tensor = load_file(report.last)["head.weight"] - before
        return moved_by

    near, far, gradient = moved(0.001), moved(0.002), moved(1.0)
    assert torch.allclose(far, 2 * near, rtol=1e-2, atol=1e-6)
    assert torch.allclose(near, 0.001 * gradient, rtol=1e-2, atol=1e-6)


# samples and batches


def test_workers_repeat_the_same_augmentation_every_epoch(tmp_path: Path) -> None:
    """8 distinct draws of 96: every worker starts from one seed, every epoch. Here the same picture under 8 names."""
    root = write_voc(tmp_path / "voc", train=1, val=1)
    with Image.open(root / "JPEGImages" / "pic_0.png") as image:
        pixels = np.array(image)
    stems = tuple(f"same_{index}" for index in range(8))
    for stem in stems:
        write_sample(root, stem, pixels, mask_of(root, "pic_0"))
    samples = TrainingSamples(VocSamples(VocFolder(root), stems), Preprocess(size=32), AUGMENTS["default"], 0, 3)
    loader = TrainingLoader(samples, 2, 2, workers=2)
    try:
        drawn = [
            image.numpy().tobytes()
            for epoch in range(3)
            for step in loader.epoch(epoch)
            for batch in step
            for image in batch.images
        ]
    finally:
        loader.close()
    assert len(drawn) == 24 and len(set(drawn)) == 24


def test_the_last_incomplete_batch_is_dropped(tmp_path: Path) -> None:
    """One picture of five is not ignored: whichever batch it falls into, every epoch learns from it."""
    dataset = write_voc(tmp_path / "voc", train=5, val=1)
    for stem in stems_of(dataset, "train")[1:]:
        write_mask(dataset, stem, np.full_like(mask_of(dataset, stem), 255))
    for seed in range(6):
        config = tiny_config(dataset, epochs=1, batch=4, seed=seed, optimizer="sgd", lr=0.1, augment="none")
        torch.manual_seed(seed)
        before = build_model("unet", 3, width=4).state_dict()["head.weight"]
        after = load_file(toolkit.train(config, out=tmp_path / f"run-{seed}").last)["head.weight"]
        assert not torch.equal(before, after), seed


def test_fewer_images_than_the_batch_are_too_few(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc", train=1, val=1)
    report = toolkit.train(tiny_config(dataset, batch=16), out=tmp_path / "run")
    assert report.epochs == 2
    assert all(math.isfinite(float(row[name])) for row in log_of(tmp_path / "run") for name in ("train_loss", "miou"))


def test_validation_leaves_out_what_fills_no_batch(tmp_path: Path) -> None:
    """Every pixel of every validation image that is not ignore is scored, whatever the batch."""
    dataset = write_voc(tmp_path / "voc", train=2, val=3)
    expected = np.bincount(
        np.concatenate([mask_of(dataset, stem).ravel() for stem in stems_of(dataset, "val")]), minlength=256
    )[:3]
    for batch in (2, 8):
        report = toolkit.train(tiny_config(dataset, epochs=1, batch=batch), out=tmp_path / f"run-{batch}")
        counts = load_state(report.run.state)["best_counts"]
        assert counts.sum(1).tolist() == expected.tolist()


def test_validation_is_shuffled(tmp_path: Path) -> None:
    """Another order of val.txt gives the same weights, scores and loss."""
    dataset = write_voc(tmp_path / "voc", train=3, val=4)
    stems = stems_of(dataset, "val")
    logs: list[Rows] = []
    for order in (stems, stems[::-1], [stems[2], stems[0], stems[3], stems[1]]):
        write_list(dataset, "val", order)
        out = tmp_path / f"run-{len(logs)}"
        toolkit.train(tiny_config(dataset, epochs=2, batch=3), out=out)
        logs.append(timeless(log_of(out)))
    for rows in logs[1:]:
        for ours, theirs in zip(rows, logs[0], strict=True):
            assert {n: float(v) for n, v in ours.items()} == pytest.approx({n: float(v) for n, v in theirs.items()})


@pytest.mark.parametrize("loss", ["ce", "focal", "dice", "ce-dice", "tversky", "lovasz", "ohem"])
def test_a_batch_without_a_counted_pixel_is_not_a_number(tmp_path: Path, loss: str) -> None:
    dataset = write_voc(tmp_path / "voc", train=3, val=1)
    write_mask(dataset, "pic_1", np.full_like(mask_of(dataset, "pic_1"), 255))
    report = toolkit.train(tiny_config(dataset, batch=1, loss=loss), out=tmp_path / "run")
    assert all(math.isfinite(float(row["train_loss"])) for row in log_of(tmp_path / "run"))
    assert all(value.isfinite().all() for value in load_file(report.last).values())


# losses


def logits_of(mask: Mask, classes: int, sure: float = 20.0) -> torch.Tensor:
    """float (1, K, H, W) that predict a mask surely."""
    ids = torch.from_numpy(mask.astype(np.int64))[None]
    return sure * torch.nn.functional.one_hot(ids, classes).permute(0, 3, 1, 2).float()


def test_dice_punishes_for_classes_that_are_not_there() -> None:
    """A nearly perfect prediction of 2 of 21 classes costs 0.905."""
    mask = (np.arange(64).reshape(8, 8) % 2).astype(np.uint8)
    targets = torch.from_numpy(mask.astype(np.int64))[None]
    for name in ("dice", "dice-squared", "ce-dice", "tversky", "lovasz"):
        assert float(build_loss(name, None, 21)(logits_of(mask, 21), targets)) < 1e-3, name


def test_dice_and_focal_punish_predictions_on_void() -> None:
    mask = (np.arange(64).reshape(8, 8) % 2).astype(np.uint8)
    targets = torch.from_numpy(mask.astype(np.int64))[None]
    targets[:, 4:] = 255
    right, other = logits_of(mask, 3), logits_of(mask, 3)
    other[:, :, 4:] = torch.tensor([0.0, 0.0, 20.0])[None, :, None, None]
    for name in (name for name in LOSSES if name != "bce"):
        loss = build_loss(name, None, 3)
        assert float(loss(right, targets)) == float(loss(other, targets)), name


# scores


def scored(truth: Mask, prediction: Mask, classes: int) -> Scores:
    confusion = Confusion(classes)
    confusion.add(truth, prediction)
    return confusion.scores([f"class {k}" for k in range(classes)])


def test_a_perfect_model_of_2_of_21_classes_has_an_miou_of_10_percent() -> None:
    mask = (np.arange(100).reshape(10, 10) % 2 * 7).astype(np.uint8)
    scores = scored(mask, mask, 21)
    assert {name: getattr(scores, name) for name in MEANS} == dict.fromkeys(MEANS, 1.0)


def test_a_model_that_predicts_background_alone_scores_95_percent() -> None:
    """Absent classes count as found. By hand, with 90 pixels of background and 10 of class 1 of 21 classes."""
    truth = np.zeros((10, 10), np.uint8)
    truth[0] = 1
    scores = scored(truth, np.zeros_like(truth), 21)
    assert scores.miou == pytest.approx((0.9 + 0) / 2)
    assert scores.mean_dice == pytest.approx((180 / 190 + 0) / 2)
    assert scores.mean_recall == pytest.approx(0.5)


def test_padding_and_void_are_scored_as_background() -> None:
    truth = np.full((10, 10), 255, np.uint8)
    truth[0] = 1
    scores = scored(truth, np.ones_like(truth), 2)
    assert scores.miou == scores.mean_dice == scores.pixel_accuracy == 1


def test_the_best_model_is_chosen_by_another_figure_than_the_one_shown(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc", train=4, val=2)
    for metric in ("miou", "mean_dice", "pixel_accuracy"):
        config = tiny_config(dataset, epochs=6, lr=0.03, metric=metric, seed=2)
        report = toolkit.train(config, out=tmp_path / metric)
        values = [float(row[metric]) for row in log_of(tmp_path / metric)]
        assert report.best_epoch == 1 + values.index(max(values))
        best = Checkpoint.load(report.best)
        assert best.progress["epoch"] == report.best_epoch
        assert best.progress["scores"][metric] == pytest.approx(max(values), abs=1e-6)


# the model


def test_batchnorm_drifts_while_the_encoder_is_frozen(dataset: Path, tmp_path: Path) -> None:
    config = tiny_config(dataset, freeze_epochs=2, epochs=2, lr=0.01)
    torch.manual_seed(config.seed)
    before = build_model("unet", 3, width=4).state_dict()
    after = load_file(toolkit.train(config, out=tmp_path / "run").last)
    rests = [name for name in before if name.startswith("encoder.")]
    assert any("running_mean" in name for name in rests)
    assert all(torch.equal(before[name], after[name]) for name in rests)
    assert not all(torch.equal(before[name], after[name]) for name in before)


def test_without_learnt_weights_the_signal_dies_in_the_encoder() -> None:
    """N(0, 0.02) over everything, without BatchNorm: 13 layers later nothing is left. He et al. keep the scale."""
    torch.manual_seed(0)
    model = build_model("vgg16-unet", 2).eval()
    kernels = [value for name, value in model.encoder.state_dict().items() if name.endswith("weight")]
    assert len(kernels) == 13
    for kernel in kernels[1:]:
        fan_in = kernel[0].numel()
        assert float(kernel.std()) == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)


def test_pictures_are_not_normalised_as_the_learnt_weights_expect() -> None:
    image = np.full((32, 32, 3), [124, 116, 104], np.uint8)  # ImageNet's mean colour
    assert float(Preprocess(size=32).apply(image).abs().max()) < 0.02
    white = Preprocess(size=32).apply(np.full((32, 32, 3), 255, np.uint8))[:, 0, 0]
    assert white.tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], abs=1e-4)


# runs and files


def test_a_restart_overwrites_the_best_model(dataset: Path, tmp_path: Path) -> None:
    """The best score is forgotten, and the first epoch afterwards is the best. It is never worse than before here."""
    config = tiny_config(dataset, epochs=6, lr=0.05, seed=1)
    with pytest.raises(Interrupted):
        toolkit.train(config, out=tmp_path / "run", should_stop=stop_when_asked(14))
    before = Checkpoint.load(tmp_path / "run" / "weights" / "best.safetensors").progress["scores"]["miou"]
    report = toolkit.train(resume=tmp_path / "run")
    assert Checkpoint.load(report.best).progress["scores"]["miou"] >= before
    assert len(log_of(tmp_path / "run")) == 6


def test_two_runs_share_their_files(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight that begin at once get eight folders, and a second run leaves the first one as it is."""
    monkeypatch.chdir(tmp_path)
    from toolkit.runs.folder import RunFolder

    made: list[Path] = []
    begin = threading.Barrier(8)

    def create() -> None:
        begin.wait()
        made.append(RunFolder.create(None).root)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [Path("runs", f"train-{number}") for number in range(1, 9)]
    first = toolkit.train(tiny_config(dataset, epochs=1)).run.root
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    second = toolkit.train(tiny_config(dataset, epochs=1, seed=1)).run.root
    assert first != second
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before


def test_evaluation_writes_into_a_folder_of_a_fixed_name(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written or removed outside the run's folder but counts of the masks, beside them."""
    monkeypatch.chdir(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    (tmp_path / ".temp_miou_out").mkdir()
    (tmp_path / ".temp_miou_out" / "mine.txt").touch()
    before = {path for path in tmp_path.rglob("*") if "torch-home" not in path.parts}
    run = toolkit.train(tiny_config(dataset, epochs=1)).run.root
    after = {path for path in tmp_path.rglob("*") if "torch-home" not in path.parts}
    made = {path for path in after - before if not path.is_relative_to(tmp_path / "runs")}
    assert made <= {dataset / "mask_counts.jsonl"} and before <= after
    assert (tmp_path / run / "log.csv").is_file()


def test_what_is_printed_is_not_what_is_used(dataset: Path, tmp_path: Path) -> None:
    """Class defaults are shown, not the values in use."""
    listener = Listener()
    toolkit.train(tiny_config(dataset, epochs=1, lr=0.0123), out=tmp_path / "run", progress=listener)
    text = "\n".join(listener.said)
    assert "21 classes" not in text and "cuda" not in text
    assert "5 training and 2 validation images" in text


def test_targets_fill_the_shared_memory_as_one_hot_floats(dataset: Path) -> None:
    """44 MiB for a picture of 512 x 512, and Docker gives 64 MB: here a sample is four bytes a pixel, target and all."""
    samples = VocSamples(VocFolder(dataset), tuple(stems_of(dataset, "train")))
    training = TrainingSamples(samples, Preprocess(size=512), AUGMENTS["default"], 0, 3)
    loader = TrainingLoader(training, 2, 2, workers=0)
    ((batch,), *_) = loader.epoch(0)
    loader.close()
    assert batch.images.nbytes + batch.targets.nbytes == 2 * 512 * 512 * 4
