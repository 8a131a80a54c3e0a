"""FastFCN (Wu et al. 2019, arXiv:1903.11816): an undilated ResNet whose last three features are joined at stride 8.

image ► ResNet ► 512 at 1/8 ──► 512 ───────┐            ┌► 3x3 ─────────────► 512 ─┐
                 1024 at 1/16 ► 512 ► x2 ──┼ concat ────┼► 3x3 dilated by 2 ► 512 ─┼ concat ► head ► K ► x8
                 2048 at 1/32 ► 512 ► x4 ──┘ 1536       ├► 3x3 dilated by 4 ► 512 ─┤  2048
                                                        └► 3x3 dilated by 8 ► 512 ─┘
"""

from collections.abc import Callable

import torch
from torch import nn
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead

from toolkit.models.base import ModelSpec, initialise
from toolkit.models.blocks import ConvNormReLU, allow_batches_of_one, enlarge
from toolkit.models.pspnet import PSPHead
from toolkit.models.resnet_encoder import ResNetEncoder, resnet_depth
from toolkit.models.resnet_head import ResNetWithHead

WIDTH = 512
DILATIONS = (1, 2, 4, 8)

SIDE_WEIGHT = 0.2
"""The default of the authors' own training program."""

HEADS: dict[str, Callable[[int, int], nn.Sequential]] = {"aspp": DeepLabHead, "psp": PSPHead, "fcn": FCNHead}


class JointPyramidUpsampling(nn.Module):
    """Features at strides 8, 16 and 32 -> (N, 2048, h, w) at stride 8."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(ConvNormReLU(before, WIDTH) for before in channels)
        self.branches = nn.ModuleList(_separable(len(channels) * WIDTH, WIDTH, dilation) for dilation in DILATIONS)
        self.out_channels = len(DILATIONS) * WIDTH

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        narrowed = [layer(feature) for layer, feature in zip(self.narrow, features, strict=True)]
        x = torch.cat([enlarge(feature, narrowed[0]) for feature in narrowed], dim=1)
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class FastFCN(ResNetWithHead):
    """ResNet at stride 32, joint pyramid upsampling, and a head that elsewhere needs a dilated encoder."""

    def __init__(self, spec: ModelSpec, depth: int = 50, head: str = "aspp") -> None:
        encoder = ResNetEncoder(depth, spec.in_channels, stride=32)
        pyramid = JointPyramidUpsampling(encoder.channels[2:])
        super().__init__(encoder, HEADS[head](pyramid.out_channels, spec.classes), spec.classes, SIDE_WEIGHT)
        initialise(pyramid)
        allow_batches_of_one(pyramid)
        self.pyramid = pyramid

    def for_head(self, features: list[torch.Tensor]) -> torch.Tensor:
        joined: torch.Tensor = self.pyramid(features[2:])
        return joined


def build(spec: ModelSpec, encoder: str = "resnet50", head: str = "aspp") -> FastFCN:
    """Build with random weights; head: `aspp` as in DeepLabV3, `psp` as in PSPNet, or `fcn`."""
    return FastFCN(spec, resnet_depth(encoder), head)


def _separable(in_channels: int, out_channels: int, dilation: int) -> nn.Sequential:
    """Depthwise 3x3 convolution and BatchNorm, then 1x1 convolution, BatchNorm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, 1, dilation, dilation, groups=in_channels, bias=False),
        nn.BatchNorm2d(in_channels),
        *ConvNormReLU(in_channels, out_channels, 1),
    )
