"""Sums over a batch from which the overlap of prediction and truth follows, class by class."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Overlap:
    """float32 (K,) each, over the counted pixels of the batch.

    true        number of pixels of the class
    hit         probability of the class, summed over its own pixels
    predicted   probability of the class, to the given power, summed over all pixels
    """

    true: torch.Tensor
    hit: torch.Tensor
    predicted: torch.Tensor

    @property
    def present(self) -> torch.Tensor:
        """bool (K,): classes with at least one pixel."""
        return self.true > 0


def overlap_of(logits: torch.Tensor, targets: torch.Tensor, counted: torch.Tensor, *, power: int = 1) -> Overlap:
    """logits float (N, K, H, W), targets int64 (N, H, W), counted bool (N, H, W)."""
    K = logits.shape[1]
    probabilities = logits.float().softmax(1)
    own = probabilities.gather(1, targets.where(counted, 0)[:, None])[:, 0]
    bins = targets.where(counted, K)
    shown = probabilities.where(counted[:, None], 0.0)
    return Overlap(
        true=_sums(torch.ones_like(own), bins, K),
        hit=_sums(own, bins, K),
        predicted=(shown if power == 1 else shown**power).sum((0, 2, 3)),
    )


def _sums(values: torch.Tensor, bins: torch.Tensor, K: int) -> torch.Tensor:
    """Sum of float (N, H, W) for each of the bins 0..K-1; bin K is dropped.

    Added up row by row first: one running sum of millions of float32 loses digits.
    """
    W = values.shape[2]
    rows = values.new_zeros(values.numel() // W, K + 1)
    return rows.scatter_add(1, bins.reshape(-1, W), values.reshape(-1, W)).sum(0)[:K]
