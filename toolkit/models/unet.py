"""U-Net with BatchNorm and bilinear upsampling, after Ronneberger et al. 2015 (arXiv:1505.04597).

Convolutions are padded, so the mask has the image's size. The width is the number of channels at full size; the
paper's is 64.
"""

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec, SegmentationModel, initialise

DEFAULT_WIDTH = 32
DEPTH = 4


class DoubleConv(nn.Sequential):
    """Twice: 3x3 convolution, BatchNorm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class UNetEncoder(nn.Module):
    """Double convolutions with a halving max-pool between: features at strides 1, 2, 4, 8, 16."""

    def __init__(self, in_channels: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        befores = (in_channels, *channels[:-1])
        self.blocks = nn.ModuleList(DoubleConv(before, after) for before, after in zip(befores, channels, strict=True))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        features: list[torch.Tensor] = []
        for block in self.blocks:
            features.append(block(F.max_pool2d(features[-1], 2) if features else images))
        return features


class UNet(SegmentationModel):
    """The encoder's features are joined again, coarsest first: enlarge x2, concatenate, double convolution."""

    stride = 2**DEPTH

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        width = spec.width or DEFAULT_WIDTH
        channels = tuple(width * 2**level for level in range(DEPTH + 1))
        self.encoder = UNetEncoder(spec.in_channels, channels)
        self.decoder = nn.ModuleList(
            DoubleConv(channels[level] + channels[level + 1], channels[level]) for level in reversed(range(DEPTH))
        )
        self.head = nn.Conv2d(width, spec.classes, 1)
        initialise(self)
        nn.init.normal_(self.head.weight, std=0.01)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        *skips, x = self.encoder(images)
        for block, skip in zip(self.decoder, reversed(skips), strict=True):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([skip, x], dim=1))
        logits: torch.Tensor = self.head(x)
        return logits


def build(spec: ModelSpec) -> UNet:
    """Build with random weights."""
    return UNet(spec)
