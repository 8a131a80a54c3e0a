"""Tversky loss."""

import torch

from toolkit.losses.base import Loss
from toolkit.losses.overlap import overlap_of


class Tversky(Loss):
    """1 - TP / (TP + alpha FP + beta FN) of each class over the whole batch, averaged.

    TP, FP and FN are sums of softmax probabilities. Salehi et al. 2017 (arXiv:1706.05721), whose best result is with
    alpha 0.3 and beta 0.7: a missed pixel costs more than a false one. With 0.5 and 0.5 it is Dice. Classes without a
    counted pixel in the batch are left out of the mean. The mean is weighted by the class weights.
    """

    def __init__(self, weights: torch.Tensor | None = None, *, alpha: float = 0.3, beta: float = 0.7) -> None:
        super().__init__(weights)
        self.alpha = alpha
        self.beta = beta

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """logits float (N, K, H, W), targets int64 (N, H, W) with ids 0..K-1 or 255 -> scalar float32, 0..1."""
        found = overlap_of(logits, targets, self.counted(targets))
        false, missed = found.predicted - found.hit, found.true - found.hit
        whole = (found.hit + self.alpha * false + self.beta * missed).where(found.present, 1.0)
        return self.class_mean(1 - found.hit / whole, found.present)
