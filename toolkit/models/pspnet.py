"""PSPNet (Zhao et al. 2017, arXiv:1612.01105): pyramid pooling on a dilated ResNet.

                                     ┌► mean of 1x1 parts ► 512 ► enlarge ─┐
image ► ResNet, dilated ► 2048 ──────┼► mean of 2x2 parts ► 512 ► enlarge ─┤
          at 1/8          │          ├► mean of 3x3 parts ► 512 ► enlarge ─┼► concat 4096 ► 512 ► 1x1 ► K ► x8
                          │          ├► mean of 6x6 parts ► 512 ► enlarge ─┤
                          │          └─────────────────────────────────────┘
           layer3: 1024 ──┴► 256 ► 1x1 ► K ► x8   (auxiliary, only while learning)
"""

import torch
from torch import nn

from toolkit.models.base import ModelSpec
from toolkit.models.blocks import ConvNormReLU, enlarge
from toolkit.models.resnet_encoder import ResNetEncoder, resnet_depth
from toolkit.models.resnet_head import ResNetWithHead

BINS = (1, 2, 3, 6)
SIDE_WEIGHT = 0.4
HEAD_CHANNELS = 512
DROPOUT = 0.1


class PyramidPooling(nn.Module):
    """(N, C, H, W) -> (N, 2C, H, W): beside the input, its means over 1, 4, 9 and 36 parts of the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(parts), ConvNormReLU(channels, channels // len(BINS), 1))
            for parts in BINS
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, *(enlarge(branch(x), x) for branch in self.branches)], dim=1)


class PSPHead(nn.Sequential):
    """(N, C, H, W) -> logits (N, K, H, W)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(
            PyramidPooling(channels),
            ConvNormReLU(2 * channels, HEAD_CHANNELS),
            nn.Dropout2d(DROPOUT),
            nn.Conv2d(HEAD_CHANNELS, classes, 1),
        )


class PSPNet(ResNetWithHead):
    """ResNet at stride 8, pyramid pooling, and the paper's auxiliary head."""

    def __init__(self, spec: ModelSpec, depth: int = 50) -> None:
        encoder = ResNetEncoder(depth, spec.in_channels, stride=8)
        super().__init__(encoder, PSPHead(encoder.channels[-1], spec.classes), spec.classes, SIDE_WEIGHT)


def build(spec: ModelSpec, encoder: str = "resnet50") -> PSPNet:
    """Build with random weights."""
    return PSPNet(spec, resnet_depth(encoder))
