import json
from pathlib import Path

import pytest

from tests.training.tiny import Listener
from tests.training.tracking.epochs import SAMPLES, finish_epochs, sent, start, values
from tests.training.tracking.fakes import FakeWandb
from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder


def test_wandb_gets_every_figure_and_the_options(run: RunFolder, wandb: FakeWandb) -> None:
    listener = Listener()
    tracker = start("wandb", run, listener, config=TrainConfig(epochs=17))
    tracker.epoch(1, values(1), SAMPLES)
    tracker.close()
    (options,) = wandb.inits
    assert (options["project"], options["name"], options["dir"]) == ("seg", "run", str(run.root))
    assert options["config"]["epochs"] == 17
    assert wandb.history[options["id"]] == {1: {"epoch": 1, **sent(1), "samples": ("image", (2, 3, 3))}}
    assert wandb.ended == [0]
    assert listener.said == ["Tracking: wandb, https://tracking.example/run"]


def test_wandb_follows_its_own_variables(
    run: RunFolder, wandb: FakeWandb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = {"WANDB_PROJECT": "cats", "WANDB_NAME": "first", "WANDB_RUN_ID": "mine", "WANDB_DIR": str(tmp_path)}
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    start("wandb", run, Listener()).close()
    assert [wandb.inits[0][key] for key in ("project", "name", "id", "dir")] == list(chosen.values())
    assert "mode" not in wandb.inits[0], "WANDB_MODE decides"


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("arrived", [2, 3, 4])
def test_a_resumed_training_goes_on_in_its_wandb_run(
    run: RunFolder, wandb: FakeWandb, arrived: int, offline: bool
) -> None:
    """log.csv has 3 epochs; the kill came before the third arrived, after it, or in the fourth that log.csv lacks."""
    wandb.offline = offline
    tracker = start("wandb", run, Listener())
    for number in range(1, arrived + 1):
        tracker.epoch(number, values(number))
    tracker.close(finished=False)
    finish_epochs(run, 3)
    tracker = start("wandb", run, Listener(), resumed=True)
    for number in (4, 5):
        tracker.epoch(number, values(number))
    tracker.close()
    first, second = wandb.inits
    assert first["id"] == second["id"]
    assert second["resume"] == "allow"
    assert sorted(wandb.history[first["id"]]) == [1, 2, 3, 4, 5]
    assert wandb.ended == [1, 0]


def test_two_trainings_are_two_wandb_runs(tmp_path: Path, wandb: FakeWandb) -> None:
    for name in ("a", "b"):
        start("wandb", RunFolder.create(tmp_path / name), Listener()).close()
    assert wandb.inits[0]["id"] != wandb.inits[1]["id"]


def test_a_damaged_note_starts_anew(run: RunFolder, wandb: FakeWandb) -> None:
    (run.root / "tracking.json").write_text('{"wandb": ', encoding="utf-8")
    tracker = start("wandb", run, Listener(), resumed=True)
    tracker.epoch(1, values(1))
    tracker.close()
    assert list(wandb.history[wandb.inits[0]["id"]]) == [1]


@pytest.mark.filterwarnings("default")
def test_real_wandb_offline_keeps_its_id(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", exc_type=ImportError)
    monkeypatch.setenv("WANDB_MODE", "offline")
    listener = Listener()
    for resumed in (False, True):
        tracker = start("wandb", run, listener, resumed=resumed)
        tracker.epoch(1 + resumed, values(1 + resumed))
        tracker.close(finished=resumed)
    assert not listener.warned
    notes = json.loads((run.root / "tracking.json").read_text())["wandb"]
    assert notes["epoch"] == 2
    assert len(list((run.root / "wandb").glob(f"offline-run-*-{notes['id']}"))) >= 1
