"""Optimizer and learning rate."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from toolkit.runs.config import TrainConfig

FINAL_SHARE = 0.01
"""The learning rate ends at this share of its highest value."""

_LR = {"adam": 1e-4, "sgd": 1e-2}
_LR_ADAM_WITH_BATCHNORM = 1e-3


def default_lr(optimizer: str, model: nn.Module, *, pretrained: bool) -> float:
    """Adam 1e-4, as in the tutorials; 1e-3 for a model with BatchNorm that starts from nothing; SGD 1e-2."""
    normalised = any(isinstance(part, nn.BatchNorm2d) for part in model.modules())
    if optimizer == "adam" and normalised and not pretrained:
        return _LR_ADAM_WITH_BATCHNORM
    return _LR[optimizer]


def make_optimizer(
    config: TrainConfig, parameters: Iterable[nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    """Adam, with fused kernels on CPU and CUDA, or SGD with Nesterov momentum 0.9.

    SGD is not fused: torch's fused kernel fails when parameters that rested, and so have no momentum yet, join in.
    """
    assert config.lr is not None
    if config.optimizer == "adam":
        fused = device.type in ("cpu", "cuda")
        return torch.optim.Adam(parameters, config.lr, weight_decay=config.weight_decay, fused=fused)
    return torch.optim.SGD(parameters, config.lr, momentum=0.9, nesterov=True, weight_decay=config.weight_decay)


def lr_at(step: int, total: int, warmup: int, highest: float) -> float:
    """Learning rate of a step, counted from 0: a straight rise over `warmup` steps, then half a cosine down.

    The first step has highest / warmup, the last one FINAL_SHARE * highest (Loshchilov and Hutter 2016,
    arXiv:1608.03983, without restarts).
    """
    if step < warmup:
        return highest * (step + 1) / warmup
    falling = max(1, total - 1 - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / falling)))
    return highest * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine)
