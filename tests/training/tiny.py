"""Training runs of a second or less."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.progress import Progress
from toolkit.runs.config import TrainConfig

Rows = list[dict[str, str]]


def tiny_config(dataset: Path, **changes: Any) -> TrainConfig:
    """A small U-Net for two epochs on 32 pixels, in 32-bit arithmetic whatever the machine offers."""
    options: dict[str, Any] = {
        "model": "unet",
        "width": 4,
        "size": 32,
        "batch": 2,
        "epochs": 2,
        "amp": False,
        "device": "cpu",
        "workers": 0,
        "encoder_weights": "none",
    }
    return TrainConfig(dataset=str(dataset), **(options | changes))


def log_of(run: Path) -> Rows:
    """The rows of log.csv."""
    with (run / "log.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def timeless(rows: Rows) -> Rows:
    """Without what differs from run to run."""
    return [{key: value for key, value in row.items() if not key.endswith("seconds")} for row in rows]


class Listener(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)

    def warn(self, line: str) -> None:
        self.warned.append(line)


def stop_when_asked(times: int) -> Callable[[], bool]:
    """A `should_stop` that says yes when it is asked for the `times`-th time. It is asked after steps and epochs."""
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == times

    return should_stop
