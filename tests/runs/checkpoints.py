"""Checkpoints and states without training: small models with lively random weights, and files that mean harm."""

import pickle
from pathlib import Path
from typing import Any

import torch

from tests.datasets import NAMES
from toolkit.data.preprocess import Preprocess
from toolkit.labels.classmap import ClassMap
from toolkit.models.base import ModelSpec
from toolkit.models.build import build_model
from toolkit.runs.checkpoint import Checkpoint
from toolkit.runs.config import TrainConfig


def tiny_checkpoint(names: tuple[str, ...] = NAMES, **config: Any) -> Checkpoint:
    """A small U-Net that predicts every class somewhere."""
    torch.manual_seed(4)
    model = build_model("unet", len(names), width=4)
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(4, 3, 32, 32))  # BatchNorm statistics other than those at birth
        torch.nn.init.normal_(model.get_parameter("head.weight"), std=1.0)
    return Checkpoint(
        config=TrainConfig(model="unet", width=4, size=64, amp=False, **config),
        spec=ModelSpec(len(names), width=4),
        classes=ClassMap(names),
        preprocess=Preprocess(size=64, mean=(0.4, 0.5, 0.6)),
        weights=model.state_dict(),
        progress={"epoch": 3, "scores": {"miou": 0.5, "pixel_accuracy": None}},
    )


def saved_checkpoint(path: Path, names: tuple[str, ...] = NAMES) -> Path:
    """The file of a tiny checkpoint."""
    tiny_checkpoint(names).save(path)
    return path


def tiny_state(**changes: Any) -> dict[str, Any]:
    """A state of the newest format, as after one epoch and one step; its tensors fill some ten thousand bytes."""
    generator = torch.Generator().manual_seed(int(changes.get("epoch", 1)))
    weights = {f"layer.{index}": torch.randn(4, 3, 9, 9, generator=generator) for index in range(5)}
    state: dict[str, Any] = {
        "fingerprint": "abc",
        "epoch": 1,
        "step": 1,
        "loss_sum": 0.5,
        "good_steps": 1,
        "best_score": 0.25,
        "best_epoch": 1,
        "best_counts": torch.tensor([[5, 1], [0, 2]]),
        "columns": ["epoch", "lr"],
        "rows": [[1, float("nan")]],
        "model": weights,
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "scaler": {},
        "ema": None,
        "world": 1,
        "micro": None,
        "lr_factor": 1.0,
        "rewinds": 0,
        "bad_steps": 0,
        "skipped": ["pic 1.b"],
        "seconds": 1.5,
        "data_seconds": 0.5,
    }
    return state | changes


class Malice:
    """Touches a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def write_malice(path: Path, content: dict[str, Any], trace: Path, writer: str) -> None:
    """Pickle `content` together with code that touches `trace`."""
    content = content | {"model": Malice(trace)}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=writer == "torch")
