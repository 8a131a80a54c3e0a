"""The figures of an epoch: as log.csv has them, and under names that all services take."""

import csv
import math
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path


def last_row(log: Path) -> tuple[int, dict[str, float]] | None:
    """The last epoch of log.csv and its values; None if there is none or the file cannot be read."""
    try:
        with log.open(encoding="utf-8", newline="") as file:
            *_, row = csv.DictReader(file)
        values = {name: float(text) for name, text in row.items() if text}
        return int(values.pop("epoch")), values
    except (OSError, ValueError, KeyError, TypeError):
        return None


def tidy(values: Mapping[str, float]) -> dict[str, float]:
    """Finite values, under names that all three take: `iou.cat` is `iou/cat`, a chart among those of `iou`."""
    tidied: dict[str, float] = {}
    for column, value in values.items():
        if column == "epoch" or not math.isfinite(value):
            continue
        group, dot, class_name = column.partition(".")
        name = f"{group}/{_plain(class_name)}" if dot else column
        while name in tidied:
            name += "_"
        tidied[name] = float(value)
    return tidied


def _plain(class_name: str) -> str:
    """Letters of any script, digits, and what MLflow allows; never `.`, `..` or a path."""
    return posixpath.normpath(re.sub(r"[^\w .-]", "_", class_name).strip(" .") or "_")
