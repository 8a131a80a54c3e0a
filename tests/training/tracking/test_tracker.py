import json
import sys
import threading
from typing import Any

import pytest

from tests.training.tiny import Listener
from tests.training.tracking.epochs import SAMPLES, sent, start, values
from tests.training.tracking.fakes import FakeMlflow, FakeWandb, FakeWriter
from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder
from toolkit.training.tracking import tracker as trackers
from toolkit.training.tracking.services import check_track


def test_nothing_is_tracked_unless_asked_for(run: RunFolder) -> None:
    listener = Listener()
    assert check_track(TrainConfig().track) == ()
    tracker = start("none", run, listener)
    tracker.epoch(1, values(1), SAMPLES)
    tracker.close()
    assert not listener.said
    assert not list(run.root.iterdir())


def test_several_at_once_keep_their_notes_apart(
    run: RunFolder, writers: list[FakeWriter], wandb: FakeWandb, mlflow: FakeMlflow
) -> None:
    tracker = start("tensorboard,wandb,mlflow", run, Listener())
    tracker.epoch(1, values(1))
    tracker.close()
    notes = json.loads((run.root / "tracking.json").read_text())
    assert notes == {
        "wandb": {"id": wandb.inits[0]["id"], "epoch": 1},
        "mlflow": {"run": "run-0", "store": "sqlite:////home/mlflow.db"},
    }
    assert writers[0].scalars[1] == sent(1)


def test_a_service_that_cannot_be_reached_is_a_warning(
    run: RunFolder, writers: list[FakeWriter], wandb: FakeWandb, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: Any) -> None:
        raise ConnectionError("nobody\nthere")

    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    listener = Listener()
    tracker = start("wandb,tensorboard", run, listener)
    tracker.epoch(1, values(1))
    tracker.close()
    assert listener.warned == [
        "wandb: ConnectionError: nobody there. The training goes on without wandb; log.csv has every epoch."
    ]
    assert writers[0].scalars == {1: sent(1)}


def test_a_service_that_fails_later_is_one_warning(run: RunFolder, writers: list[FakeWriter], wandb: FakeWandb) -> None:
    listener = Listener()
    tracker = start("tensorboard,wandb", run, listener)
    tracker.epoch(1, values(1))
    tracker.epoch(2, {"train_loss": values(1)["train_loss"] * 7})  # the fake's disk is full now
    for number in (3, 4):
        tracker.epoch(number, values(number))
    tracker.close()
    (warning,) = listener.warned
    assert warning.startswith("tensorboard: OSError: No space left on device")
    assert list(writers[0].scalars) == [1]
    assert list(wandb.history[wandb.inits[0]["id"]]) == [1, 2, 3, 4]


def test_a_service_that_hangs_holds_nobody_up(
    run: RunFolder, writers: list[FakeWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(FakeWriter, "flush", lambda self: answer.wait(60))
    monkeypatch.setattr(trackers, "_PATIENCE", 0.2)
    listener = Listener()
    tracker = start("tensorboard", run, listener)
    for number in (1, 2, 3):
        tracker.epoch(number, values(number))
    tracker.close()
    answer.set()
    (warning,) = listener.warned
    assert warning.startswith("tensorboard: not all has arrived")


def test_odd_class_names_become_names_that_all_services_take(run: RunFolder, writers: list[FakeWriter]) -> None:
    tracker = start("tensorboard", run, Listener())
    tracker.epoch(1, {"iou.猫": 0.1, "iou.a/b": 0.2, "iou.a:b": 0.3, "iou...": 0.4, "iou.v1.5": 0.5})
    tracker.close()
    assert writers[0].scalars[1] == {"iou/猫": 0.1, "iou/a_b": 0.2, "iou/a_b_": 0.3, "iou/_": 0.4, "iou/v1.5": 0.5}
