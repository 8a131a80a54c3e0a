"""The resume contract: stopped anywhere, a run ends with the bytes of one that never stopped."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.datasets import stems_of, write_list, write_voc
from tests.training.tiny import log_of, stop_when_asked, timeless, tiny_config
from toolkit.errors import CheckpointError, DataError, DatasetError, Interrupted, UsageError
from toolkit.progress import Progress
from toolkit.runs.config import TrainConfig
from toolkit.training.plan import make_plan
from toolkit.training.run import TrainReport, train

EPOCHS, STEPS = 4, 3  # five pictures in batches of two; should_stop is asked four times an epoch


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc(tmp_path_factory.mktemp("resume") / "voc", train=5, val=2)


def config(dataset: Path, optimizer: str = "adam", **changes: Any) -> TrainConfig:
    """The encoder is at rest for half of the epochs."""
    return tiny_config(dataset, epochs=EPOCHS, freeze_epochs=2, optimizer=optimizer, lr=0.01, **changes)


@pytest.fixture(scope="module")
def whole(dataset: Path) -> dict[str, TrainReport]:
    """Runs that were never stopped."""
    return {
        optimizer: train(config(dataset, optimizer), out=dataset.parent / f"whole-{optimizer}")
        for optimizer in ("adam", "sgd")
    }


def assert_same(ours: TrainReport, theirs: TrainReport) -> None:
    for name in ("last", "best"):
        assert getattr(ours, name).read_bytes() == getattr(theirs, name).read_bytes(), name
    assert timeless(log_of(ours.run.root)) == timeless(log_of(theirs.run.root))
    assert (ours.best_epoch, ours.epochs) == (theirs.best_epoch, theirs.epochs)
    assert ours.scores.as_dict() == theirs.scores.as_dict()


def interrupt(dataset: Path, out: Path, times: int, optimizer: str = "adam") -> None:
    with pytest.raises(Interrupted, match=rf"nothing is lost\. Go on with: seg train --resume {out}"):
        train(config(dataset, optimizer), out=out, should_stop=stop_when_asked(times))


def test_equal_seeds_give_equal_bytes(dataset: Path, tmp_path: Path, whole: dict[str, TrainReport]) -> None:
    assert_same(train(config(dataset), out=tmp_path / "run"), whole["adam"])


def test_another_seed_gives_other_weights(dataset: Path, tmp_path: Path, whole: dict[str, TrainReport]) -> None:
    other = train(config(dataset, seed=1), out=tmp_path / "run")
    assert not torch.equal(load_file(other.last)["head.weight"], load_file(whole["adam"].last)["head.weight"])


def test_processes_that_load_do_not_change_the_result(
    dataset: Path, tmp_path: Path, whole: dict[str, TrainReport]
) -> None:
    helped = train(config(dataset, workers=2), out=tmp_path / "run")
    ours, theirs = load_file(helped.last), load_file(whole["adam"].last)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert timeless(log_of(helped.run.root)) == timeless(log_of(whole["adam"].run.root))


@pytest.mark.parametrize(
    ("times", "optimizer"),
    [
        pytest.param(1, "adam", id="after the first step"),
        pytest.param(2, "adam", id="in the first epoch, encoder at rest"),
        pytest.param(2, "sgd", id="in the first epoch, sgd"),
        pytest.param(3, "adam", id="after the last step of an epoch, before it is validated"),
        pytest.param(4, "adam", id="after the first epoch"),
        pytest.param(8, "adam", id="after the encoder's rest"),
        pytest.param(9, "adam", id="at the encoder's first step"),
        pytest.param(10, "sgd", id="in the third epoch, sgd"),
        pytest.param(8, "sgd", id="when the encoder of an sgd run has just woken"),
        pytest.param(14, "adam", id="in the last epoch"),
        pytest.param(15, "adam", id="after the very last step"),
    ],
)
def test_stopped_and_resumed_ends_with_the_same_bytes(
    dataset: Path, tmp_path: Path, whole: dict[str, TrainReport], times: int, optimizer: str
) -> None:
    interrupt(dataset, tmp_path / "run", times, optimizer)
    torch.manual_seed(times)
    assert_same(train(resume=tmp_path / "run"), whole[optimizer])


def test_stopped_again_and_again(dataset: Path, tmp_path: Path, whole: dict[str, TrainReport]) -> None:
    run = tmp_path / "run"
    interrupt(dataset, run, 2)
    for times in (2, 4, 1):
        with pytest.raises(Interrupted):
            train(resume=run, should_stop=stop_when_asked(times))
    assert_same(train(resume=run), whole["adam"])


class PulledPlug(Exception):
    """A crash that no code expects."""


@pytest.mark.parametrize("times", [6, 11])
def test_after_a_crash_a_run_goes_on_from_the_last_finished_epoch(
    dataset: Path, tmp_path: Path, whole: dict[str, TrainReport], times: int
) -> None:
    stop = stop_when_asked(times)

    def crash() -> bool:
        if stop():
            raise PulledPlug
        return False

    with pytest.raises(PulledPlug):
        train(config(dataset), out=tmp_path / "run", should_stop=crash)
    assert_same(train(resume=tmp_path / "run"), whole["adam"])


def test_finished_run_is_reported_again_without_training(dataset: Path, whole: dict[str, TrainReport]) -> None:
    before = whole["adam"].last.read_bytes(), whole["adam"].run.log.read_bytes()
    again = train(resume=whole["adam"].run.root)
    assert again.scores.as_dict() == whole["adam"].scores.as_dict()
    assert (again.last.read_bytes(), again.run.log.read_bytes()) == before


def test_last_epoch_is_not_called_interrupted(dataset: Path, tmp_path: Path) -> None:
    """Ctrl-C while the last epoch is validated: everything is done."""
    report = train(config(dataset), out=tmp_path / "run", should_stop=stop_when_asked(EPOCHS * (STEPS + 1)))
    assert report.epochs == EPOCHS


def test_encoder_weights_are_not_looked_for_again(tmp_path: Path, dataset: Path) -> None:
    weights = tmp_path / "encoder.pt"
    torch.save(load_file_of_encoder(), weights)
    chosen = config(dataset, encoder_weights=str(weights))
    uncut = train(chosen, out=tmp_path / "uncut")
    with pytest.raises(Interrupted):
        train(chosen, out=tmp_path / "run", should_stop=stop_when_asked(2))
    weights.unlink()
    assert_same(train(resume=tmp_path / "run"), uncut)


def load_file_of_encoder() -> dict[str, torch.Tensor]:
    from toolkit.models.build import build_model

    torch.manual_seed(5)
    return dict(build_model("unet", 3, width=4).encoder.state_dict())


def test_changed_dataset_is_refused(tmp_path: Path) -> None:
    dataset, run = write_voc(tmp_path / "voc"), tmp_path / "run"
    with pytest.raises(Interrupted):
        train(tiny_config(dataset), out=run, should_stop=stop_when_asked(2))
    state = (run / "weights" / "state.pt").read_bytes()
    names, train_stems = dataset / "class_names.txt", stems_of(dataset, "train")

    write_list(dataset, "train", train_stems[:-1])
    with pytest.raises(DatasetError, match=r"voc: its classes or lists changed since .*run was started"):
        train(resume=run)
    write_list(dataset, "train", train_stems[::-1])
    with pytest.raises(DatasetError, match="changed since"):
        train(resume=run)
    write_list(dataset, "train", train_stems)
    names.write_text("_background_\nbar\ndisc\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="changed since"):
        train(resume=run)
    assert (run / "weights" / "state.pt").read_bytes() == state
    names.write_text("_background_\ndisc\nbar\n", encoding="utf-8")
    assert train(resume=run).epochs == 2


def test_what_is_no_run_or_has_no_state_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a training run"):
        train(resume=dataset)
    run = train(tiny_config(dataset, epochs=1), out=tmp_path / "run").run
    run.state.unlink()
    with pytest.raises(CheckpointError, match="there is no saved state"):
        train(resume=run.root)


def test_a_new_run_does_not_go_into_the_folder_of_another(dataset: Path, whole: dict[str, TrainReport]) -> None:
    before = whole["adam"].last.read_bytes()
    with pytest.raises(UsageError, match="is not an empty folder"):
        train(replace(config(dataset), seed=9), out=whole["adam"].run.root)
    assert whole["adam"].last.read_bytes() == before


@pytest.mark.parametrize("schedule", ["poly", "onecycle"])
def test_other_schedules_adamw_and_clipping_go_on_exactly(dataset: Path, tmp_path: Path, schedule: str) -> None:
    chosen = config(dataset, "adamw", schedule=schedule, clip=0.1, weight_decay=0.1)
    whole = train(chosen, out=tmp_path / "whole")
    for times in (2, 8):
        with pytest.raises(Interrupted):
            train(chosen, out=tmp_path / f"run-{times}", should_stop=stop_when_asked(times))
        assert_same(train(resume=tmp_path / f"run-{times}"), whole)


def test_clipping_bounds_what_a_step_changes(dataset: Path, tmp_path: Path) -> None:
    def change(clip: float) -> float:
        """How far one epoch of plain steps moves the weights; momentum 0.9 adds up to 1 / (1 - 0.9) of each."""
        chosen = config(dataset, "sgd", clip=clip, schedule="constant", warmup_epochs=0)
        chosen = replace(chosen, epochs=1, freeze_epochs=0)
        before = make_plan(chosen, Progress()).model.state_dict()
        start = {name: value.clone() for name, value in before.items()}
        after = load_file(train(chosen, out=tmp_path / f"clip-{clip}").last)
        learnt = [name for name in start if "running" not in name and "num_batches" not in name]
        return math.sqrt(sum(float((after[name] - start[name]).square().sum()) for name in learnt))

    limit = 0.001
    assert change(limit) <= STEPS * 0.01 * limit * 10 < change(0)
