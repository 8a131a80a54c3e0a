"""All that resuming needs, at rest: `weights/state.pt`, which holds tensors and plain values only.

Version 2 is a dict of

    format         2
    fingerprint    of the dataset's lists and classes
    epoch, step    the next step to do, both from 0
    loss_sum       of the steps of this epoch whose loss was finite, good_steps of them
    best_score     -1 before the first validation; best_epoch counts from 1; best_counts int64 (K, K) or None
    columns, rows  of log.csv; both are empty before the first validation
    model, optimizer, scaler    their state dicts; ema: that of the mean of the weights, or None
    world          processes that trained; micro: images at a time if fewer than a batch, or None
    lr_factor      by which the learning rate was lowered; rewinds: how often; bad_steps: skipped ones in a row
    skipped        stems of images that could not be read
    seconds, data_seconds    of this epoch before the save, all and those of waiting for images

Version 1 called best_score best_miou and had no good_steps, no columns, and none of what follows the scaler.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from toolkit.errors import CheckpointError, SegError
from toolkit.files import writing
from toolkit.runs.integrity import Spill, require_file
from toolkit.torchzip import zip_fault

STATE_FORMAT = 2

_FIELDS: dict[str, tuple[type, ...]] = {
    "fingerprint": (str,),
    "epoch": (int,),
    "step": (int,),
    "loss_sum": (float, int),
    "good_steps": (int,),
    "best_score": (float, int),
    "best_epoch": (int,),
    "best_counts": (torch.Tensor, type(None)),
    "columns": (list,),
    "rows": (list,),
    "model": (dict,),
    "optimizer": (dict,),
    "scaler": (dict,),
    "ema": (dict, type(None)),
    "world": (int,),
    "micro": (int, type(None)),
    "lr_factor": (float, int),
    "rewinds": (int,),
    "bad_steps": (int,),
    "skipped": (list,),
    "seconds": (float, int),
    "data_seconds": (float, int),
}


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write `state`, in the newest format, atomically and durably; `format` is set here.

    Raises SegError with the file's name if it cannot be written, CheckpointError if something in it cannot be saved;
    the previous file is then as it was.
    """
    with writing(path, durable=True) as file:
        spill = Spill(file)
        try:
            torch.save({**state, "format": STATE_FORMAT}, cast(BinaryIO, spill))
        except (OSError, SegError):
            raise
        except Exception as error:  # torch and pickle raise whatever the values and its zip writer raise
            if spill.error is not None:
                raise spill.error from None
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CheckpointError(f"{path}: cannot be saved ({reason}). The previous state is kept.") from error


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote, now or in an older version, in the newest form; objects are not unpickled.

    Raises CheckpointError naming the file if it is damaged, of another program or of a newer version.
    """
    require_file(path, "there is no saved state, without which a run cannot go on. Start it anew.")
    try:
        with path.open("rb") as file:
            fault = zip_fault(file)
            if fault is not None:
                raise CheckpointError(f"{path}: cannot be read ({fault}). Start the run anew.")
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # torch raises whatever its parser meets: pickle, zip, struct and runtime errors
        raise CheckpointError(f"{path}: cannot be read ({type(error).__name__}). Start the run anew.") from None
    version = state.get("format") if isinstance(state, dict) else None
    if not isinstance(version, int) or version < 1:
        raise CheckpointError(f"{path}: was not written by seg as the state of a run. Start the run anew.")
    if version > STATE_FORMAT:
        raise CheckpointError(f"{path}: has format {version}, this version reads {STATE_FORMAT}. Update seg-toolkit.")
    try:
        for older in range(version, STATE_FORMAT):
            state = _MIGRATIONS[older](state, path)
        fault = _fault(state)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        fault = repr(error)
    if fault is not None:
        raise CheckpointError(f"{path}: its contents are damaged ({fault}). Start the run anew.")
    return dict(state)


def _fault(state: dict[str, Any]) -> str | None:
    for name, kinds in _FIELDS.items():
        if name not in state:
            return f"no {name}"
        if not isinstance(state[name], kinds) or isinstance(state[name], bool):
            return f"{name} is {type(state[name]).__name__}"
    for name in ("model", "ema"):
        if not all(isinstance(value, torch.Tensor) for value in (state[name] or {}).values()):
            return f"{name} holds more than tensors"
    if any(len(row) != len(state["columns"]) for row in state["rows"]):
        return "rows and columns differ"
    return None


_NAN = float("nan")


def _from_1(old: dict[str, Any], path: Path) -> dict[str, Any]:
    """mean_dice came after fw_iou and data_seconds before seconds; what was not measured then is not a number."""
    state = dict(old)
    before = ["epoch", "lr", "train_loss", "val_loss", "miou", "pixel_accuracy", "mean_recall", "mean_precision"]
    classes = len(old["rows"][0]) - len(before) - 2 if old["rows"] else 0
    per_class = [f"iou.{name}" for name in _names_in_log(path.parent.parent / "log.csv", classes)]
    head, tail = len(before) + 1, len(before) + 1 + classes
    state["columns"] = [*before, "fw_iou", "mean_dice", *per_class, "data_seconds", "seconds"] if old["rows"] else []
    state["rows"] = [[*row[:head], _NAN, *row[head:tail], _NAN, *row[tail:]] for row in old["rows"]]
    state["best_score"] = state.pop("best_miou")
    state["good_steps"] = old["step"]  # a loss that was not finite ended the run then
    state |= {"ema": None, "world": 1, "micro": None, "lr_factor": 1.0, "rewinds": 0, "bad_steps": 0, "skipped": []}
    return {**state, "seconds": 0.0, "data_seconds": 0.0, "format": 2}


def _names_in_log(log: Path, classes: int) -> list[str]:
    """The classes in the header of the run's log, which version 1 wrote before the state; numbers if it is gone."""
    try:
        with log.open(encoding="utf-8", newline="") as file:
            names = [name.removeprefix("iou.") for name in next(csv.reader(file)) if name.startswith("iou.")]
    except (OSError, ValueError, StopIteration, csv.Error):
        names = []
    return names if len(names) == classes else [str(k) for k in range(classes)]


_MIGRATIONS: dict[int, Callable[[dict[str, Any], Path], dict[str, Any]]] = {1: _from_1}
