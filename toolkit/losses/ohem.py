"""Cross-entropy with online hard example mining."""

import math

import torch
from torch.nn import functional as F

from toolkit.labels.classmap import IGNORE
from toolkit.losses.base import Loss


class Ohem(Loss):
    """Weighted mean of -log p(true class) over the hard pixels: those with p below `threshold`, or the hardest
    `share` of the pixels that count if that is more.

    Shrivastava et al. 2016, "Training Region-based Object Detectors with Online Hard Example Mining"
    (arXiv:1604.03540), by pixels as in Wu et al. 2016 (arXiv:1605.06885) and in the code of BiSeNet, from which the
    defaults are. Over the whole batch; class weights change the mean, not which pixels are hard. Of pixels as hard as
    the last one of the share all are kept, so that their order does not matter.
    """

    def __init__(self, weights: torch.Tensor | None = None, *, threshold: float = 0.7, share: float = 1 / 16) -> None:
        super().__init__(weights)
        self.threshold = threshold
        self.share = share

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """logits float (N, K, H, W), targets int64 (N, H, W) with ids 0..K-1 or 255 -> scalar float32."""
        counted = self.counted(targets)
        cost = F.cross_entropy(logits.float(), targets, ignore_index=IGNORE, reduction="none")
        ranked = cost.detach().where(counted, -1.0)
        hardest = ranked.flatten().topk(math.ceil(self.share * ranked.numel())).values
        wanted = (counted.sum() * self.share).ceil().long().clamp(1, len(hardest))
        bar = hardest.index_select(0, wanted[None] - 1).clamp(max=-math.log(self.threshold))
        return self.pixel_mean(cost, targets, counted & (ranked >= bar))
