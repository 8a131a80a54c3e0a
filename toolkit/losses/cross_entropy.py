"""Cross-entropy over pixels."""

import torch
from torch.nn import functional as F

from toolkit.errors import UsageError
from toolkit.labels.classmap import IGNORE
from toolkit.losses.base import Loss, positive


class CrossEntropy(Loss):
    """Weighted mean of -log p(true class) over the pixels that count.

    weights     float (K,) or None. The sum is divided by the sum of the weights of the counted pixels, as torch does.
    smoothing   0..1, the share of every target that is spread evenly over all classes (Szegedy et al. 2016,
                arXiv:1512.00567); torch's `label_smoothing`, but for classes of weight 0, which stay as good as ignored.
    """

    def __init__(self, weights: torch.Tensor | None = None, *, smoothing: float = 0.0) -> None:
        super().__init__(weights)
        self.smoothing = smoothing

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """logits float (N, K, H, W), targets int64 (N, H, W) with ids 0..K-1 or 255 -> scalar float32."""
        counted = self.counted(targets)
        shown = targets.where(counted, IGNORE)  # smoothing would let classes of weight 0 in
        total = F.cross_entropy(
            logits.float(),
            shown,
            self.weights,
            ignore_index=IGNORE,
            reduction="sum",
            label_smoothing=self.smoothing,
        )
        if self.weights is None:
            return total / counted.sum().clamp(min=1)
        return total / positive(self.weights[targets.where(counted, 0)].where(counted, 0.0).sum())


class BinaryCrossEntropy(Loss):
    """Binary cross-entropy of two classes: the sigmoid of the second logit less the first is p(class 1).

    This is the softmax of two logits, so value and gradient are those of CrossEntropy, weights and smoothing included.
    torch's `pos_weight` w is `weights` (1, w), up to the division by the sum of the weights of the counted pixels.
    """

    def __init__(self, weights: torch.Tensor | None = None, *, smoothing: float = 0.0) -> None:
        super().__init__(weights)
        self.smoothing = smoothing

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """logits float (N, 2, H, W), targets int64 (N, H, W) with ids 0, 1 or 255 -> scalar float32.

        Raises UsageError for another number of classes.
        """
        if logits.shape[1] != 2:
            raise UsageError(f"loss: bce is for 2 classes, got {logits.shape[1]}. Use ce.")
        counted = self.counted(targets)
        lead = logits[:, 1].float() - logits[:, 0].float()
        first, second = F.softplus(lead), F.softplus(-lead)  # -log p of class 0 and of class 1
        is_second = (targets == 1).float() * (1 - self.smoothing) + self.smoothing / 2
        if self.weights is None:
            total = torch.lerp(first, second, is_second).where(counted, 0.0).sum()
            return total / counted.sum().clamp(min=1)
        terms = self.weights[0] * (1 - is_second) * first + self.weights[1] * is_second * second
        amount = self.weights[targets.where(counted, 0)].where(counted, 0.0).sum()
        return terms.where(counted, 0.0).sum() / positive(amount)
