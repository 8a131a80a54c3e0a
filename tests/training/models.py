"""Models that only tests know."""

import torch
from torch import nn

from toolkit.models.base import ModelSpec, SegmentationModel


class Plain(SegmentationModel):
    """Two convolutions, and dropout if `width` is given: no BatchNorm, so a batch is the sum of its images."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(spec.in_channels, 8, 3, padding=1)
        self.dropout = nn.Dropout2d(0.5 if spec.width else 0.0)
        self.head = nn.Conv2d(8, spec.classes, 3, padding=1)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.dropout(torch.relu(self.encoder(images))))
        return logits


class Sided(Plain):
    """With one side output, whose own layer learns from nothing else."""

    side_weights = (0.5,)

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.side = nn.Conv2d(8, spec.classes, 1)

    def decode_all(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = torch.relu(self.encoder(images))
        return self.head(features), self.side(features)


class Hungry(Plain):
    """Has no memory for more than `largest` images at a time."""

    largest = 1

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and len(images) > self.largest:
            raise torch.OutOfMemoryError(f"{len(images)} images")
        return super().decode(images)


class Poisoned(Plain):
    """In training, a gradient that is not finite whenever `is_bad` says so of the number of the pass, from 0."""

    passes = 0

    @staticmethod
    def is_bad(number: int) -> bool:
        return False

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        logits = super().decode(images)
        if not self.training:
            return logits
        type(self).passes += 1
        return logits * torch.nan if type(self).is_bad(type(self).passes - 1) else logits
