"""How large a model is and how much it computes, without memory for either."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from toolkit.models import MODELS
from toolkit.models.build import build_model
from toolkit.models.entry import CLASSES, SIZE, choose_model


@dataclass(frozen=True)
class Figures:
    """Of a model that predicts one picture.

    parameters   number of weights
    gflops       10**9 floating point operations of convolutions and matrix products; a multiplication and an addition
                 are two
    stride       inputs are padded to a multiple of this many pixels
    """

    parameters: int
    gflops: float
    stride: int


def figures(name: str, *, classes: int = CLASSES, size: int = SIZE, in_channels: int = 3) -> Figures:
    """Count for one picture of size x size pixels. Raises UsageError as build_model does."""
    # others' models may want to know values while they are built
    in_table = any(entry is choose_model(name, MODELS).entry for entry in map(MODELS.entry, MODELS))
    with torch.device("meta" if in_table else "cpu"):
        model = build_model(name, classes, in_channels=in_channels).to("meta").eval()
    image = torch.empty(1, in_channels, size, size, device="meta")
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(image)
    return Figures(sum(p.numel() for p in model.parameters()), counter.get_total_flops() / 1e9, model.stride)
