"""A small model with lively weights, and its files in every format, each written once in a session."""

from functools import cache
from pathlib import Path

import pytest
import torch

from toolkit.data.preprocess import Preprocess
from toolkit.engines import FORMATS
from toolkit.engines.base import ModelCard
from toolkit.engines.opening import load_writer
from toolkit.labels.classmap import ClassMap
from toolkit.models.base import ModelSpec, SegmentationModel
from toolkit.models.build import build_model
from toolkit.runs.checkpoint import Checkpoint
from toolkit.runs.config import TrainConfig

NAMES = ("_background_", "Wände <&> \"n'", "木")
MODEL = "unet:depth=2"
PREPROCESS = Preprocess(size=64, stride=8, upscale=2, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
SIZES = ((1, 8, 8), (1, 40, 16), (3, 16, 56))
"""Pictures, rows and columns; no converter has seen these, and the first is the smallest possible."""


@cache
def small_model() -> SegmentationModel:
    torch.manual_seed(4)
    model = build_model(MODEL, len(NAMES), width=4, upscale=2)
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(4, 3, 32, 32))  # BatchNorm statistics other than those at birth
        torch.nn.init.normal_(model.get_parameter("head.weight"), std=1.0)
    return model.eval()


def card(*, raw_input: bool = False, names: tuple[str, ...] = NAMES) -> ModelCard:
    return ModelCard(ClassMap(names), PREPROCESS, MODEL, raw_input=raw_input)


def saved(path: Path) -> Path:
    """A checkpoint of the small model."""
    Checkpoint(
        config=TrainConfig(model=MODEL, width=4, size=64, upscale=2, amp=False),
        spec=ModelSpec(len(NAMES), width=4, upscale=2),
        classes=ClassMap(NAMES),
        preprocess=PREPROCESS,
        weights=small_model().state_dict(),
    ).save(path)
    return path


def pictures(count: int, h: int, w: int) -> torch.Tensor:
    """uint8 (N, h, w, 3), noise."""
    return torch.randint(0, 256, (count, h, w, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(h * w))


def truth(images: torch.Tensor) -> torch.Tensor:
    """The model's logits, by plain PyTorch, from numbers that are normalised as the papers write it."""
    mean, std = torch.tensor(PREPROCESS.mean), torch.tensor(PREPROCESS.std)
    with torch.no_grad():
        logits: torch.Tensor = small_model()(((images / 255 - mean) / std).permute(0, 3, 1, 2).contiguous())
    return logits


class Files:
    """Writes a format when it is first asked for; skips the test if its packages are not installed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[tuple[str, bool], tuple[Path, ...]] = {}

    def __call__(self, name: str, *, raw_input: bool = False) -> tuple[Path, ...]:
        for package in FORMATS.entry(name).needs:
            pytest.importorskip(package)
        key = (name, raw_input)
        if key not in self._written:
            path = self._folder / f"{name}-{raw_input}" / f"model{FORMATS.entry(name).suffix}"
            self._written[key] = load_writer(name)(small_model(), card(raw_input=raw_input), path)
        return self._written[key]
