"""Test-time augmentation: the network sees a picture several times, and the logits are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from toolkit.data.preprocess import resize_image
from toolkit.engines.base import Engine

SCALES = (0.75, 1.0, 1.25)


@dataclass(frozen=True)
class View:
    """The picture made `scale` times as large, and mirrored left to right or not."""

    scale: float = 1.0
    mirrored: bool = False


def views_of(kinds: Sequence[str]) -> tuple[View, ...]:
    """The views for test-time augmentations by name: "flips", "scales", both, or none."""
    scales = SCALES if "scales" in kinds else (1.0,)
    return tuple(
        View(scale, mirrored) for scale in scales for mirrored in ((False, True) if "flips" in kinds else (False,))
    )


def averaged_logits(engine: Engine, images: torch.Tensor, views: Sequence[View]) -> torch.Tensor:
    """uint8 (N, h, w, 3), sides multiples of the stride -> the mean of the views' logits, float32 (N, K, r h, r w)."""
    if tuple(views) == (View(),):
        return engine.logits(images)
    r, stride = engine.card.preprocess.upscale, engine.card.preprocess.stride
    size = (r * images.shape[1], r * images.shape[2])
    total: torch.Tensor | None = None
    for view in views:
        logits = engine.logits(_seen(images, view, stride))
        if view.mirrored:
            logits = logits.flip(3)
        if logits.shape[2:] != size:
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        total = logits if total is None else total + logits
    assert total is not None
    return total / len(views)


def _seen(images: torch.Tensor, view: View, stride: int) -> torch.Tensor:
    h, w = (max(stride, round(side * view.scale / stride) * stride) for side in images.shape[1:3])
    if (h, w) != tuple(images.shape[1:3]):
        images = torch.from_numpy(np.stack([resize_image(image, (h, w)) for image in images.numpy()]))
    return images.flip(2).contiguous() if view.mirrored else images
