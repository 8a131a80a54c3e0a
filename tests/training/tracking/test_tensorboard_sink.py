from pathlib import Path

import pytest

from tests.training.tiny import Listener
from tests.training.tracking.epochs import SAMPLES, finish_epochs, sent, start, values
from tests.training.tracking.fakes import FakeWriter
from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder


def test_tensorboard_gets_every_figure_in_the_folder_of_the_run(run: RunFolder, writers: list[FakeWriter]) -> None:
    tracker = start("tensorboard", run, Listener(), config=TrainConfig(epochs=17))
    for number in (1, 2):
        tracker.epoch(number, values(number), SAMPLES)
    tracker.close()
    (writer,) = writers
    assert Path(writer.folder) == run.root / "tensorboard"
    assert writer.scalars == {1: sent(1), 2: sent(2)}
    assert writer.images == [("samples", (2, 3, 3), 1, "HWC"), ("samples", (2, 3, 3), 2, "HWC")]
    assert writer.flushed == 2, "an epoch is seen, and survives a kill, as soon as it is over"
    assert writer.closed
    assert writer.purge_step is None
    assert "epochs: 17" in writer.text


def test_resumed_tensorboard_hides_what_comes_again(run: RunFolder, writers: list[FakeWriter]) -> None:
    finish_epochs(run, 3)
    tracker = start("tensorboard", run, Listener(), resumed=True)
    tracker.epoch(4, values(4))
    tracker.close()
    assert writers[0].purge_step == 3, "the last epoch of log.csv may not have arrived: it is hidden and sent again"
    assert writers[0].scalars == {3: sent(3), 4: sent(4)}


def test_an_epoch_that_log_csv_has_and_the_state_lacks_is_shown_once(run: RunFolder, writers: list[FakeWriter]) -> None:
    finish_epochs(run, 3)
    tracker = start("tensorboard", run, Listener(), resumed=True)
    tracker.epoch(3, {"epoch": 3, "train_loss": 9.0})
    tracker.epoch(4, {"epoch": 4, **values(4)})
    tracker.close()
    assert writers[0].scalars == {3: sent(3), 4: sent(4)}


def test_resumed_before_the_first_epoch_everything_is_hidden(run: RunFolder, writers: list[FakeWriter]) -> None:
    start("tensorboard", run, Listener(), resumed=True).close()
    assert writers[0].purge_step == 0
    assert writers[0].scalars == {}


@pytest.mark.filterwarnings("default")
def test_real_tensorboard_shows_each_epoch_once(run: RunFolder) -> None:
    pytest.importorskip("tensorboard")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracker = start("tensorboard", run, Listener())
    for number in (1, 2, 3):
        tracker.epoch(number, values(number), SAMPLES)
    tracker.close(finished=False)
    finish_epochs(run, 2)
    tracker = start("tensorboard", run, Listener(), resumed=True)
    tracker.epoch(3, values(3))
    tracker.close()
    events = accumulator.EventAccumulator(str(run.root / "tensorboard"))
    events.Reload()
    shown = [(event.step, event.value) for event in events.Scalars("miou")]
    assert shown == [(number, pytest.approx(number / 8)) for number in (1, 2, 3)]
    assert set(events.Tags()["scalars"]) == set(sent(1))
