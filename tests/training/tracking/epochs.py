"""Epochs that have never been trained, and what should arrive of them."""

import math

import numpy as np

from tests.training.tiny import Listener
from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder
from toolkit.training.tracking.tracker import Tracker, open_trackers

SAMPLES = {"samples": np.zeros((2, 3, 3), np.uint8)}
HEADER = ["epoch", "train_loss", "miou", "iou.cat", "iou.dog"]


def values(number: int) -> dict[str, float]:
    """A row of log.csv without its epoch; no dog was ever seen."""
    return {"train_loss": 1 / number, "miou": number / 8, "iou.cat": number / 16, "iou.dog": math.nan}


def sent(number: int) -> dict[str, float]:
    """What a service gets of it."""
    return {"train_loss": 1 / number, "miou": number / 8, "iou/cat": number / 16}


def finish_epochs(run: RunFolder, last: int) -> None:
    """log.csv as it is after this epoch."""
    run.write_log(HEADER, [[number, *values(number).values()] for number in range(1, last + 1)])


def start(
    choice: str, run: RunFolder, listener: Listener, *, resumed: bool = False, config: TrainConfig | None = None
) -> Tracker:
    return open_trackers(choice, run, config or TrainConfig(), resumed, listener)
