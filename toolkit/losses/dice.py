"""Soft Dice losses, and their sum with cross-entropy."""

import torch

from toolkit.losses.base import Loss
from toolkit.losses.cross_entropy import CrossEntropy
from toolkit.losses.overlap import overlap_of


class Dice(Loss):
    """1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth) of each class over the whole batch, averaged.

    p is the softmax, t the truth, 0 or 1. Sudre et al. 2017 (arXiv:1707.03237), after Milletari et al. 2016
    (arXiv:1606.04797). Classes without a counted pixel in the batch are left out of the mean. The mean is weighted by
    the class weights.
    """

    def __init__(self, weights: torch.Tensor | None = None, *, smooth: float = 0.0) -> None:
        super().__init__(weights)
        self.smooth = smooth

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """logits float (N, K, H, W), targets int64 (N, H, W) with ids 0..K-1 or 255 -> scalar float32, 0..1."""
        return _dice(self, logits, targets, power=1, smooth=self.smooth)


class SquaredDice(Loss):
    """1 - (2 sum(p t) + smooth) / (sum(p^2) + sum(t^2) + smooth) of each class over the whole batch, averaged.

    Milletari et al. 2016, "V-Net" (arXiv:1606.04797), with smooth = 1 as often added. Otherwise like Dice. The slope
    falls off where p is near 0 or 1, which is steadier; `smooth` matters for classes of few pixels.
    """

    def __init__(self, weights: torch.Tensor | None = None, *, smooth: float = 1.0) -> None:
        super().__init__(weights)
        self.smooth = smooth

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """logits float (N, K, H, W), targets int64 (N, H, W) with ids 0..K-1 or 255 -> scalar float32, 0..1."""
        return _dice(self, logits, targets, power=2, smooth=self.smooth)


class CrossEntropyDice(Loss):
    """CrossEntropy + dice * Dice, both with the class weights.

    The sum with equal parts is that of Isensee et al. 2018, "nnU-Net" (arXiv:1809.10486). `smoothing` is that of
    CrossEntropy.
    """

    def __init__(self, weights: torch.Tensor | None = None, *, dice: float = 1.0, smoothing: float = 0.0) -> None:
        super().__init__(weights)
        self.dice = dice
        self.pixels = CrossEntropy(weights, smoothing=smoothing)
        self.overlap = Dice(weights)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """logits float (N, K, H, W), targets int64 (N, H, W) with ids 0..K-1 or 255 -> scalar float32."""
        pixels: torch.Tensor = self.pixels(logits, targets)
        overlap: torch.Tensor = self.overlap(logits, targets)
        return pixels + self.dice * overlap


def _dice(loss: Loss, logits: torch.Tensor, targets: torch.Tensor, *, power: int, smooth: float) -> torch.Tensor:
    found = overlap_of(logits, targets, loss.counted(targets), power=power)
    both = (found.predicted + found.true).where(found.present, 1.0)
    return loss.class_mean(1 - (2 * found.hit + smooth) / (both + smooth), found.present)
