"""The figures of a training, sent to TensorBoard, Weights & Biases or MLflow if asked for, behind `Tracker`.

Their libraries are imported only when asked for, each sends from a thread of its own, and whatever goes wrong in one of
them is a warning: a training never waits for a server, and never ends by one.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping

from toolkit.progress import SILENT, Progress
from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder
from toolkit.training.tracking.figures import last_row, tidy
from toolkit.training.tracking.mlflow_sink import MlflowSink
from toolkit.training.tracking.services import check_track
from toolkit.training.tracking.sink import Images, Sink
from toolkit.training.tracking.tensorboard_sink import TensorBoardSink
from toolkit.training.tracking.wandb_sink import WandbSink

_PATIENCE = 30.0  # seconds that the end of a training waits for what is still to be sent

_SINKS: dict[str, Callable[[RunFolder, TrainConfig, bool, int], Sink]] = {
    "tensorboard": TensorBoardSink,
    "wandb": WandbSink,
    "mlflow": MlflowSink,
}


class Tracker:
    """Gets the figures of every epoch. This base class ignores them: nothing was asked for."""

    def epoch(self, number: int, values: Mapping[str, float], images: Images | None = None) -> None:
        """Note a finished epoch, counted from 1.

        values   what log.csv has, by its column names; values that are not finite are left out
        images   shown beside them, for example samples with their predictions
        """

    def close(self, *, finished: bool = True) -> None:
        """Send what is left, for half a minute at most. `finished` is false if the run is to be resumed."""


def open_trackers(
    choice: str, run: RunFolder, config: TrainConfig, resumed: bool, progress: Progress = SILENT
) -> Tracker:
    """The trackers of `check_track`, as one; for the process of rank 0 only.

    A resumed run goes on with the same W&B and MLflow runs and TensorBoard folder. log.csv tells how far it came: its
    last epoch is sent again where it did not arrive, and what stands behind it is hidden or not sent twice.
    A service that cannot be reached is a warning. Raises UsageError as `check_track` does.
    """
    row = last_row(run.log) if resumed else None
    outlets = []
    for name in check_track(choice):
        try:
            sink = _SINKS[name](run, config, resumed, row[0] if row else 0)
        except (Exception, SystemExit) as error:
            progress.warn(_failed(name, error))
            continue
        progress.say(f"Tracking: {name}, {sink.where}")
        outlets.append(_Outlet(name, sink))
    tracker = _Outlets(outlets, progress) if outlets else Tracker()
    if row:
        tracker.epoch(*row)
    return tracker


class _Outlet:
    """One service and the thread that talks to it; the first failure ends both."""

    def __init__(self, name: str, sink: Sink) -> None:
        self.name, self.sink = name, sink
        self.failure = ""
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"track-{name}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except (Exception, SystemExit) as error:
                self.failure = _failed(self.name, error)
                return

    def send(self, number: int, values: Mapping[str, float], images: Images) -> None:
        self._jobs.put(lambda: self.sink.send(number, values, images))

    def close(self, finished: bool) -> None:
        self._jobs.put(lambda: self.sink.close(finished))
        self._jobs.put(None)

    def is_done(self, seconds: float) -> bool:
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()


class _Outlets(Tracker):
    def __init__(self, outlets: list[_Outlet], progress: Progress) -> None:
        self._outlets, self._progress = outlets, progress
        self._reached = 0

    def epoch(self, number: int, values: Mapping[str, float], images: Images | None = None) -> None:
        self._drop_failed()
        if number <= self._reached:  # log.csv is written before the state: after a kill between them it is ahead
            return
        self._reached = number
        tidied = tidy(values)
        for outlet in self._outlets:
            outlet.send(number, tidied, images or {})

    def close(self, *, finished: bool = True) -> None:
        for outlet in self._outlets:
            outlet.close(finished)
        deadline = time.monotonic() + _PATIENCE
        waiting = [outlet for outlet in self._outlets if not outlet.is_done(deadline - time.monotonic())]
        self._drop_failed()
        for outlet in waiting:
            self._progress.warn(f"{outlet.name}: not all has arrived after {_PATIENCE:.0f} s; log.csv has every epoch.")
        self._outlets = []

    def _drop_failed(self) -> None:
        for outlet in self._outlets:
            if outlet.failure:
                self._progress.warn(outlet.failure)
        self._outlets = [outlet for outlet in self._outlets if not outlet.failure]


def _failed(name: str, error: BaseException) -> str:
    reason = " ".join(str(error).split())[:200]
    return (
        f"{name}: {type(error).__name__}{f': {reason}' if reason else ''}. "
        f"The training goes on without {name}; log.csv has every epoch."
    )
