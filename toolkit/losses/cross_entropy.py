"""Cross-entropy over pixels."""

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.labels.classmap import IGNORE


class CrossEntropy(nn.Module):
    """Weighted mean of -log p(true class) over the pixels that are not ignored.

    weights: float (K,) or None. The sum is divided by the sum of the weights of the counted pixels, as torch does;
    with nothing to count (all ignored, or all of weight 0) the loss is 0 with zero gradients instead of NaN.
    """

    weights: torch.Tensor | None

    def __init__(self, weights: torch.Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """logits float (N, K, H, W), targets int64 (N, H, W) with ids 0..K-1 or 255 -> scalar float32."""
        total = F.cross_entropy(logits.float(), targets, self.weights, ignore_index=IGNORE, reduction="sum")
        counted = targets != IGNORE
        if self.weights is None:
            amount = counted.sum().to(total.dtype)
        else:
            amount = self.weights[targets.where(counted, torch.zeros_like(targets))].where(counted, 0.0).sum()
        return total / amount.clamp(min=torch.finfo(total.dtype).tiny)
