"""Focal loss over pixels."""

import torch
from torch.nn import functional as F

from toolkit.labels.classmap import IGNORE
from toolkit.losses.base import Loss


class Focal(Loss):
    """Weighted mean of -(1 - p)^gamma log p over the pixels that count, p the softmax of the true class.

    Lin et al. 2017, "Focal Loss for Dense Object Detection" (arXiv:1708.02002). The class weights are the paper's
    alpha: factors outside of p, which stays a probability. The sum is divided by the sum of the weights of the
    counted pixels, so that gamma = 0 is CrossEntropy.
    """

    def __init__(self, weights: torch.Tensor | None = None, *, gamma: float = 2.0) -> None:
        super().__init__(weights)
        self.gamma = gamma

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """logits float (N, K, H, W), targets int64 (N, H, W) with ids 0..K-1 or 255 -> scalar float32."""
        cost = F.cross_entropy(logits.float(), targets, ignore_index=IGNORE, reduction="none")
        doubt = -torch.expm1(-cost)  # 1 - p, exact where p is nearly 1
        # the slope of 0^gamma is infinite for gamma < 1
        doubt = doubt.clamp(min=torch.finfo(doubt.dtype).tiny)
        return self.pixel_mean(doubt**self.gamma * cost, targets, self.counted(targets))
