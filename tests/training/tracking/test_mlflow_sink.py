import json
import sys

import pytest

from tests.training.tiny import Listener
from tests.training.tracking.epochs import SAMPLES, finish_epochs, sent, start, values
from tests.training.tracking.fakes import FakeMlflow
from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder


def test_mlflow_gets_every_figure_and_the_options(run: RunFolder, mlflow: FakeMlflow) -> None:
    tracker = start("mlflow", run, Listener(), config=TrainConfig(epochs=17))
    tracker.epoch(1, values(1), SAMPLES)
    tracker.close()
    assert mlflow.stores == ["sqlite:////home/mlflow.db"]
    assert (mlflow.experiments, mlflow.names) == ({"seg": "7"}, {"run-0": "run"})
    assert mlflow.params["epochs"] == 17
    assert sorted(mlflow.metrics["run-0"]) == sorted((k, v, 1) for k, v in {**sent(1), "epoch": 1}.items())
    assert mlflow.artifacts == ["samples/epoch_0001.png"]
    assert mlflow.status == ["run-0 FINISHED"]


@pytest.mark.parametrize("arrived", [2, 3, 4])
def test_a_resumed_training_goes_on_in_its_mlflow_run(run: RunFolder, mlflow: FakeMlflow, arrived: int) -> None:
    tracker = start("mlflow", run, Listener())
    for number in range(1, arrived + 1):
        tracker.epoch(number, values(number))
    tracker.close(finished=False)
    finish_epochs(run, 3)
    tracker = start("mlflow", run, Listener(), resumed=True)
    for number in (4, 5):
        tracker.epoch(number, values(number))
    tracker.close()
    assert list(mlflow.names) == ["run-0"]
    assert [step for name, _, step in mlflow.metrics["run-0"] if name == "miou"] == [1, 2, 3, 4, 5]
    assert mlflow.status == ["run-0 KILLED", "run-0 RUNNING", "run-0 FINISHED"]


def test_a_training_resumed_elsewhere_finds_its_mlflow_store(
    run: RunFolder, mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    start("mlflow", run, Listener()).close()
    monkeypatch.setattr(sys.modules["mlflow"], "get_tracking_uri", lambda: "sqlite:////elsewhere/mlflow.db")
    start("mlflow", run, Listener(), resumed=True).close()
    assert mlflow.stores == ["sqlite:////home/mlflow.db"] * 2


def test_the_address_of_a_server_is_not_written_down(
    run: RunFolder, mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@tracking.example")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "cats")
    listener = Listener()
    start("mlflow", run, listener).close()
    assert mlflow.stores == ["https://me:secret@tracking.example"]
    assert list(mlflow.experiments) == ["cats"]
    assert "secret" not in (run.root / "tracking.json").read_text() + "".join(listener.said)


@pytest.mark.filterwarnings("default")
def test_real_mlflow_shows_each_epoch_once(run: RunFolder) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("alembic")
    tracker = start("mlflow", run, Listener())
    for number in (1, 2, 3):
        tracker.epoch(number, values(number))
    tracker.close(finished=False)
    finish_epochs(run, 2)
    tracker = start("mlflow", run, Listener(), resumed=True)
    for number in (3, 4):
        tracker.epoch(number, values(number))
    tracker.close()
    notes = json.loads((run.root / "tracking.json").read_text())["mlflow"]
    history = tracking.MlflowClient(notes["store"]).get_metric_history(notes["run"], "iou/cat")
    assert [(metric.step, metric.value) for metric in history] == [(number, number / 16) for number in (1, 2, 3, 4)]
