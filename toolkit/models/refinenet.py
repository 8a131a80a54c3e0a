"""RefineNet (Lin et al. 2017, arXiv:1611.06612): four cascaded refinement blocks on a ResNet.

layer1 (1/4)  ───────────────────────────────────────────────► block 256 ► 2 RCU ► 3x3 ► K ▲ x4
   layer2 (1/8)  ──────────────────────────► block 256 ▲ x2 ───┘
      layer3 (1/16) ─────► block 256 ▲ x2 ───┘
         layer4 (1/32) ► block 512 ─┘

block: 3x3 ► 2 RCU ► fuse with the coarser block ► chained residual pooling ► RCU
RCU:   x + 3x3(ReLU(3x3(ReLU(x))))
"""

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec, SegmentationModel, initialise, undecide
from toolkit.models.blocks import allow_batches_of_one, enlarge
from toolkit.models.resnet_encoder import ResNetEncoder, resnet_depth

_CHANNELS = (256, 256, 256, 512)
_POOLS = 4
_FIRST_BRANCH = 0.1


def _conv3x3(in_channels: int, out_channels: int, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)


class ResidualUnit(nn.Module):
    """RCU, the residual unit of ResNet without BatchNorm: (N, C, H, W) -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels, channels, bias=True)
        self.conv2 = _conv3x3(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch: torch.Tensor = self.conv2(F.relu(self.conv1(F.relu(x)), inplace=True))
        return x + branch


class ChainedPooling(nn.Module):
    """Pool 5x5 at stride 1 and convolve, again and again, and add up what each step gives: context at several sizes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_conv3x3(channels, channels) for _ in range(_POOLS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = x = F.relu(x)
        for conv in self.convs:
            x = conv(F.max_pool2d(x, 5, 1, padding=2))
            total = total + x
        return total


class RefineBlock(nn.Module):
    """Refine one feature of the encoder, (N, in_channels, H, W), with the output of the coarser block if there is one.

    below   channels of the coarser block's output, (N, below, H/2, W/2); 0: there is none
    """

    def __init__(self, in_channels: int, channels: int, below: int) -> None:
        super().__init__()
        self.reduce = _conv3x3(in_channels, channels)
        self.adapt = nn.Sequential(ResidualUnit(channels), ResidualUnit(channels))
        self.fuse = nn.ModuleList()
        if below:
            self.adapt_below = nn.Sequential(ResidualUnit(below), ResidualUnit(below))
            self.fuse.extend([_conv3x3(channels, channels), _conv3x3(below, channels)])
        self.pooling = ChainedPooling(channels)
        self.out = ResidualUnit(channels)

    def forward(self, feature: torch.Tensor, coarser: torch.Tensor | None) -> torch.Tensor:
        x = self.adapt(self.reduce(feature))
        if coarser is not None:
            fuse, fuse_below = self.fuse
            below = fuse_below(self.adapt_below(coarser))
            x = fuse(x) + enlarge(below, x)
        refined: torch.Tensor = self.out(self.pooling(x))
        return refined


class RefineNet(SegmentationModel):
    """The 4-cascaded form: from the coarsest feature to the finest, logits at a quarter of the size, then bilinear."""

    stride = 32

    def __init__(self, spec: ModelSpec, depth: int) -> None:
        super().__init__()
        self.encoder = ResNetEncoder(depth, spec.in_channels)
        belows = (*_CHANNELS[1:], 0)
        self.blocks = nn.ModuleList(
            RefineBlock(*channels) for channels in zip(self.encoder.channels[1:], _CHANNELS, belows, strict=True)
        )
        self.last = nn.Sequential(ResidualUnit(_CHANNELS[0]), ResidualUnit(_CHANNELS[0]))
        self.head = _conv3x3(_CHANNELS[0], spec.classes, bias=True)
        initialise(self)
        self._calm()
        undecide(self.head)
        allow_batches_of_one(self)

    def _calm(self) -> None:
        """Begin the decoder's sums small: without BatchNorm each residual branch would double the variance.

        There are over twenty in a row (Zhang et al. 2019, arXiv:1901.09321, on residual networks without BatchNorm).
        """
        for part in self.blocks.modules():
            if isinstance(part, RefineBlock):
                for conv in (part.reduce, *part.fuse):
                    assert isinstance(conv, nn.Conv2d)
                    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
        with torch.no_grad():
            for part in self.modules():
                if isinstance(part, ResidualUnit):
                    part.conv2.weight.mul_(_FIRST_BRANCH)
                elif isinstance(part, ChainedPooling):
                    for conv in part.convs:
                        assert isinstance(conv, nn.Conv2d)
                        conv.weight.mul_(_FIRST_BRANCH)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor | None = None
        for block, feature in zip(reversed(self.blocks), reversed(self.encoder(images)[1:]), strict=True):
            x = block(feature, x)
        return enlarge(self.head(self.last(x)), images)


def build(spec: ModelSpec, encoder: str = "resnet50") -> RefineNet:
    """Build with random weights; `encoder` is resnet18, 34, 50 or 101. The paper's is 101, which needs a large GPU."""
    return RefineNet(spec, resnet_depth(encoder))
