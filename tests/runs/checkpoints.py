"""Checkpoints without training: small models with lively random weights."""

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
