"""Steps of several batches, running means of weights, side outputs, the metric that decides."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.datasets import write_voc
from tests.training.tiny import Listener, log_of, stop_when_asked, timeless, tiny_config
from toolkit.errors import Interrupted, UsageError
from toolkit.runs.config import TrainConfig
from toolkit.training.ema import running_mean
from toolkit.training.plan import make_plan
from toolkit.training.run import TrainReport, train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc(tmp_path_factory.mktemp("fit") / "voc", train=6, val=2)


def config(dataset: Path, model: str = "plain", **changes: Any) -> TrainConfig:
    options: dict[str, Any] = {"model": model, "width": None, "lr": 0.01, "freeze_epochs": 0, "augment": "none"}
    return tiny_config(dataset, **(options | changes))


def weights(report: TrainReport) -> dict[str, torch.Tensor]:
    return load_file(report.last)


def assert_close(ours: TrainReport, theirs: TrainReport) -> None:
    found, expected = weights(ours), weights(theirs)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("loss", "class_weights"), [("ce", "none"), ("ce", "0.5,2,0"), ("focal", "inverse")])
def test_accumulated_batches_learn_what_one_large_batch_learns(
    models: None, dataset: Path, tmp_path: Path, loss: str, class_weights: str
) -> None:
    """With a remainder, six images in steps of four and two, and although each ignores another share of its pixels."""
    whole, parts, single = (
        train(
            config(dataset, batch=batch, accumulate=times, optimizer="sgd", loss=loss, class_weights=class_weights),
            out=tmp_path / f"{batch}",
        )
        for batch, times in ((4, 1), (2, 2), (1, 4))
    )
    assert_close(parts, whole)
    assert_close(single, whole)
    assert [row["lr"] for row in log_of(parts.run.root)] == [row["lr"] for row in log_of(whole.run.root)]
    other = train(
        config(dataset, batch=2, optimizer="sgd", loss=loss, class_weights=class_weights), out=tmp_path / "other"
    )
    assert not torch.allclose(weights(other)["head.weight"], weights(whole)["head.weight"], atol=1e-4)


def train_loss(chosen: TrainConfig, out: Path) -> float:
    """Of the first epoch."""
    return float(log_of(train(chosen, out=out).run.root)[0]["train_loss"])


def test_loss_of_an_epoch_is_that_of_its_images(models: None, dataset: Path, tmp_path: Path) -> None:
    """Whatever they are divided into, as long as nothing is learnt in between."""
    losses = [
        train_loss(config(dataset, batch=batch, accumulate=times, lr=0.0, epochs=1), tmp_path / f"{batch}")
        for batch, times in ((6, 1), (3, 2), (2, 3))
    ]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_running_mean_is_the_sum_it_is_by_hand() -> None:
    model = torch.nn.Conv2d(1, 1, 1)
    mean = running_mean(model, 0.9)  # type: ignore[arg-type]
    assert mean is not None
    values, expected = [3.0, 5.0, -1.0, 2.0, 8.0], math.nan
    for n, value in enumerate(values):
        with torch.no_grad():
            model.weight.fill_(value)
        mean.update_parameters(model)
        decay = min(0.9, (1 + n) / (10 + n))
        expected = value if n == 0 else decay * expected + (1 - decay) * value
        assert mean.module.state_dict()["weight"].item() == pytest.approx(expected, rel=1e-6)
    assert running_mean(model, 0.0) is None  # type: ignore[arg-type]


def test_the_running_mean_is_what_is_scored_and_saved(dataset: Path, tmp_path: Path) -> None:
    chosen = tiny_config(dataset, lr=0.01, epochs=3)
    plain, mean = train(chosen, out=tmp_path / "plain"), train(replace(chosen, ema=0.9), out=tmp_path / "mean")
    ours, theirs = weights(mean), weights(plain)
    assert not torch.equal(ours["head.weight"], theirs["head.weight"])
    state = torch.load(mean.run.state, weights_only=True)
    assert torch.equal(state["model"]["head.weight"], theirs["head.weight"]), "what learns is the same"
    assert torch.equal(state["ema"]["module.head.weight"], ours["head.weight"])
    assert ours["encoder.blocks.0.1.running_mean"].isfinite().all()
    train_losses, val_losses = (
        [[row[f"{side}_loss"] for row in log_of(r.run.root)] for r in (plain, mean)] for side in ("train", "val")
    )
    assert train_losses[0] == train_losses[1] and val_losses[0] != val_losses[1]


@pytest.mark.parametrize("changes", [{"ema": 0.8}, {"accumulate": 2}, {"ema": 0.8, "accumulate": 3, "batch": 1}])
@pytest.mark.parametrize("times", [2, 5])
def test_stopped_and_resumed_ends_with_the_same_bytes(
    dataset: Path, tmp_path: Path, changes: dict[str, Any], times: int
) -> None:
    chosen = tiny_config(dataset, epochs=3, lr=0.01, freeze_epochs=1, **changes)
    whole = train(chosen, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(chosen, out=tmp_path / "run", should_stop=stop_when_asked(times))
    torch.manual_seed(times)
    again = train(resume=tmp_path / "run")
    assert (again.last.read_bytes(), again.best.read_bytes()) == (whole.last.read_bytes(), whole.best.read_bytes())
    assert timeless(log_of(again.run.root)) == timeless(log_of(whole.run.root))


def test_side_outputs_are_learnt_from_with_their_weight(
    models: None, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.training.models import Sided

    chosen = config(dataset, "sided", epochs=1, batch=6, optimizer="sgd", schedule="constant", warmup_epochs=0.0)
    start = make_plan(chosen, Listener()).model.state_dict()["side.weight"].clone()
    moved, shown = {}, set()
    for weight in (0.5, 1.0, 0.0):
        monkeypatch.setattr(Sided, "side_weights", (weight,))
        report = train(chosen, out=tmp_path / str(weight))
        moved[weight] = weights(report)["side.weight"] - start
        shown.add(log_of(report.run.root)[0]["train_loss"])
    assert len(shown) == 1, "the loss of the first step is that of the logits, whatever the side outputs add"
    torch.testing.assert_close(moved[1.0], 2 * moved[0.5], rtol=1e-4, atol=1e-7)
    assert moved[0.5].abs().max() > 0 and moved[0.0].abs().max() == 0


@pytest.mark.parametrize("metric", ["pixel_accuracy", "mean_recall"])
def test_best_is_chosen_by_the_metric_that_is_shown(dataset: Path, tmp_path: Path, metric: str) -> None:
    listener = Listener()
    chosen = tiny_config(dataset, epochs=6, lr=0.03, metric=metric, patience=6, class_weights="inverse")
    report = train(chosen, out=tmp_path / "run", progress=listener)
    values = [float(row[metric]) for row in log_of(report.run.root)]
    assert report.best_epoch == 1 + int(np.argmax(values))
    assert f"{metric.replace('_', ' ')} {values[report.best_epoch - 1]:.3f} (best)" in "\n".join(listener.said)


def test_dropout_draws_come_from_the_seed(models: None, dataset: Path, tmp_path: Path) -> None:
    """Nothing is learnt and all images are in one batch: only what is dropped differs."""
    first, again, other = (
        train_loss(config(dataset, width=1, lr=0.0, epochs=1, batch=6, seed=seed), tmp_path / name)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again != other


def test_options_out_of_range_are_refused() -> None:
    for changes, said in (
        ({"ema": 1.0}, "ema: a share below 1"),
        ({"batch": "many"}, "batch: a whole number or auto is needed, got 'many'"),
        ({"accumulate": 0}, "accumulate: at least 1"),
        ({"on_bad_image": "ignore"}, "on_bad_image: 'ignore' is not one of stop, skip"),
        ({"size": 40_000}, "size: at most 32768 is possible, got 40000"),
        ({"lr": 1e300}, "lr: at most 1e\\+30"),
        ({"metric": "mIoU"}, "metric: 'mIoU' is not one of miou"),
    ):
        with pytest.raises(UsageError, match=said):
            TrainConfig(**changes)
