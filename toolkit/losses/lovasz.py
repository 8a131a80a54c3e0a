"""Lovász-Softmax loss."""

import torch

from toolkit.losses.base import Loss


class Lovasz(Loss):
    """1 - IoU of each class over the whole batch, extended from 0/1 to probabilities, averaged.

    Berman et al. 2018, "The Lovász-Softmax loss" (arXiv:1705.08790), over the classes that have a counted pixel in
    the batch. The mean is weighted by the class weights. One sort of all pixels for each class that is present.
    """

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """logits float (N, K, H, W), targets int64 (N, H, W) with ids 0..K-1 or 255 -> scalar float32, 0..1."""
        counted = self.counted(targets)
        classes = targets[counted].bincount().nonzero()[:, 0]
        probabilities = logits.float().softmax(1).index_select(1, classes).transpose(0, 1).flatten(1)
        is_own = targets.flatten() == classes[:, None]
        errors = torch.where(is_own, 1 - probabilities, probabilities).where(counted.flatten(), -1.0)
        errors, order = errors.sort(dim=1, descending=True)  # what does not count comes last
        costs = (errors * _slopes(is_own.gather(1, order), counted.sum())).sum(1)
        weights = torch.ones_like(costs) if self.weights is None else self.weights[classes]
        return (costs * weights).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


def _slopes(is_own: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """By how much 1 - IoU grows when one more of the pixels, in this order, is wrong.

    is_own: bool (classes, pixels), pixels of the class, at least one a class; counted: how many pixels count, the
    first ones -> float32 (classes, pixels). A missed pixel takes one from the intersection, a false one adds one to
    the union. Written out for both: differences of IoUs that are nearly equal would leave few digits.
    """
    place = torch.arange(1, is_own.shape[1] + 1, device=is_own.device)
    missed = is_own.cumsum(1)
    own = is_own.sum(1, keepdim=True)
    kept, union = (own - missed).float(), (own + place - missed).float()
    slopes = torch.where(is_own, 1 / union, kept / (union * (union - 1).clamp(min=1)))
    return slopes.where(place <= counted, 0.0)
