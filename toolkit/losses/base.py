"""What all losses share: class weights, which pixels count, and means over pixels or classes."""

import torch
from torch import nn

from toolkit.labels.classmap import IGNORE


class Loss(nn.Module):
    """logits float (N, K, H, W), targets int64 (N, H, W) with ids 0..K-1 or 255 -> scalar float32.

    weights: float32 (K,), finite and at least 0, or None. A pixel whose class has weight 0 counts as little as an
    ignored one. With nothing to count the loss is 0 with zero gradients instead of NaN.
    """

    weights: torch.Tensor | None

    def __init__(self, weights: torch.Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weights", weights)

    def counted(self, targets: torch.Tensor) -> torch.Tensor:
        """bool (N, H, W): not ignored, and of a class that has a weight."""
        counted = targets != IGNORE
        return counted if self.weights is None else counted & (self.weights > 0)[targets.where(counted, 0)]

    def amount(self, targets: torch.Tensor) -> torch.Tensor:
        """How much there is to learn from int64 (N, H, W): the number of counted pixels, or the sum of their weights.

        By it the losses of parts of a batch make up the loss of the whole, if they are means over pixels.
        """
        counted = self.counted(targets)
        if self.weights is None:
            return counted.sum().float()
        return self.weights[targets.where(counted, 0)].where(counted, 0.0).sum()

    def pixel_mean(self, values: torch.Tensor, targets: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        """Mean of float (N, H, W) over the counted pixels, each with the weight of its class."""
        if self.weights is None:
            return values.where(counted, 0.0).sum() / counted.sum().clamp(min=1)
        weights = self.weights[targets.where(counted, 0)].where(counted, 0.0)
        return (values * weights).sum() / positive(weights.sum())

    def class_mean(self, values: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Mean of float (K,) over the classes that are present, bool (K,), each with its weight."""
        weights = present.to(values.dtype) if self.weights is None else self.weights.where(present, 0.0)
        return (values * weights).sum() / positive(weights.sum())


def positive(amount: torch.Tensor) -> torch.Tensor:
    """A divisor that is not 0: of sums that are 0 the quotient is 0."""
    return amount.clamp(min=torch.finfo(amount.dtype).tiny)
