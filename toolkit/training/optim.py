"""Optimizer and learning rate."""

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from toolkit.models.base import SegmentationModel
from toolkit.runs.config import TrainConfig

FINAL_SHARE = 0.01
"""The learning rate ends at this share of its highest value."""

_POWER = 0.9
_STEPS = (2 / 3, 8 / 9)
_RISE, _START, _END = 0.3, 1 / 25, 1 / 25 / 1e4

_LR = {"adam": 1e-4, "adamw": 1e-4, "sgd": 1e-2}
_LR_ADAM_WITH_BATCHNORM = 1e-3


def default_lr(optimizer: str, model: SegmentationModel, *, pretrained: bool) -> float:
    """Adam 1e-4, as in the tutorials; 1e-3 for a model that starts from nothing with BatchNorm in its decoder; SGD 1e-2."""
    encoder = set(model.encoder.modules())
    normalised = any(isinstance(part, _BatchNorm) for part in model.modules() if part not in encoder)
    if optimizer != "sgd" and normalised and not pretrained:
        return _LR_ADAM_WITH_BATCHNORM
    return _LR[optimizer]


def make_optimizer(
    config: TrainConfig, parameters: Iterable[nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    """Adam or AdamW, with fused kernels on CPU and CUDA, or SGD with Nesterov momentum 0.9.

    SGD is not fused: torch's fused kernel fails when parameters that rested, and so have no momentum yet, join in.
    """
    assert config.lr is not None
    fused = device.type in ("cpu", "cuda")
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, config.lr, weight_decay=config.weight_decay, fused=fused)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, config.lr, weight_decay=config.weight_decay, fused=fused)
    return torch.optim.SGD(parameters, config.lr, momentum=0.9, nesterov=True, weight_decay=config.weight_decay)


def lr_at(step: int, total: int, warmup: int, highest: float, schedule: str = "cosine") -> float:
    """Learning rate of a step, counted from 0: a straight rise over `warmup` steps, then a fall.

    cosine     half a cosine down to FINAL_SHARE (Loshchilov and Hutter 2016, arXiv:1608.03983, without restarts)
    poly       (1 - share of steps done) ** 0.9 (Chen et al. 2016, arXiv:1606.00915)
    step       a tenth after two thirds of the fall, a hundredth after eight ninths
    constant   no fall
    onecycle   three tenths up from a 25th, then down to nearly nothing, both along half a cosine; `warmup` is not used
               (Smith and Topin 2017, arXiv:1708.07120)

    The first step has highest / warmup; the given rate is the highest one that is used.
    """
    if schedule == "onecycle":
        return highest * _one_cycle(step, total)
    if step < warmup:
        return highest * (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, total - 1 - warmup))  # 1 at the last step
    if schedule == "cosine":
        return highest * (FINAL_SHARE + (1 - FINAL_SHARE) * _half_cosine(done))
    if schedule == "poly":
        return float(highest * (1 - (step - warmup) / max(1, total - warmup)) ** _POWER)
    if schedule == "step":
        return highest * (1.0 if done < _STEPS[0] else 0.1 if done < _STEPS[1] else 0.01)
    return highest


def _one_cycle(step: int, total: int) -> float:
    top = max(_RISE * total - 1, 0.0)
    if step <= top:
        return _START + (1 - _START) * (1 - _half_cosine(step / top if top else 1.0))
    return _END + (1 - _END) * _half_cosine(min(1.0, (step - top) / max(1e-9, total - 1 - top)))


def _half_cosine(done: float) -> float:
    """From 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * done))
