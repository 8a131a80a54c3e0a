"""A running mean of the weights (Polyak and Juditsky 1992): steadier than the last ones."""

import torch
from torch.optim.swa_utils import AveragedModel

from toolkit.models.base import SegmentationModel

Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]


def running_mean(model: SegmentationModel, decay: float) -> AveragedModel | None:
    """The mean, BatchNorm statistics included, in which a step's weights fade by `decay` a step; None for decay 0.

    At the start, when there is little to remember, the decay is (1 + n) / (10 + n) after n steps if that is less.
    """
    if not decay:
        return None

    @torch.no_grad()
    def fade(means: Tensors, new: Tensors, steps: torch.Tensor | int) -> None:
        n = float(steps)
        weight = 1 - min(decay, (1 + n) / (10 + n))
        for mean, value in zip(means, new, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, weight)
            else:
                mean.copy_(value)

    return AveragedModel(model, multi_avg_fn=fade, use_buffers=True)
