"""ResNet U-Nets (He et al. 2015, arXiv:1512.03385; Ronneberger et al. 2015, arXiv:1505.04597) in two forms.

plain      the tutorial repository's: convolutions with biases and no normalisation, corners aligned, and a last stage
           that only enlarges; with ResNet-50, 43,934,101 parameters at 21 classes:

             64 /2 ──────────────────────► 128+64 ► 64 ► 64 ▲ x2 ► 64 ► 64 ► 1x1 ► K
               256 /4 ────────────► 256+256 ► 128 ► 128 ▲ x2
                  512 /8 ────► 512+512 ► 256 ► 256 ▲ x2
                    1024 /16 ► 2048+1024 ► 512 ► 512 ▲ x2
                        2048 /32 ▲ x2

batchnorm  double convolutions with BatchNorm. Two of them see the image at its full size and join the last stage, as a
           ResNet halves the image before its first feature and thin things are lost there:

             image ► 32 ► 32 ────────────────────► 64+32 ► 32 ► 32 ► 1x1 ► K
               64 /2 ─────────────────────► 64+64 ► 64 ▲ x2
                  64 /4 ───────────► 128+64 ► 64 ▲ x2
                    128 /8 ────► 256+128 ► 128 ▲ x2
                       256 /16 ► 512+256 ► 256 ▲ x2
                          512 /32 ▲ x2
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec, SegmentationModel, initialise, undecide
from toolkit.models.blocks import ConvNormReLU, allow_batches_of_one
from toolkit.models.foreign_names import accept_names
from toolkit.models.resnet_encoder import ResNetEncoder
from toolkit.models.vgg_unet import DECODER_CHANNELS, TUTORIAL_DECODER, up_blocks

NORMED_CHANNELS = (256, 128, 64, 64)
FULL_CHANNELS = 32


def double(x: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) -> (N, C, 2H, 2W), bilinear with aligned corners."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class PlainResNetUNet(SegmentationModel):
    """The tutorial repository's form; also loads its parameter names (`resnet.*`, `up_concat*.*`, `up_conv.*`, `final.*`).

    Its pool windows begin at their pixel (`pool_ahead`), which the same ImageNet weights bear.
    """

    foreign_names: Mapping[str, str] = {
        "resnet.": "encoder.",
        "up_conv.1.": "last.0.",
        "up_conv.3.": "last.1.",
        **TUTORIAL_DECODER,
    }

    def __init__(self, spec: ModelSpec, depth: int) -> None:
        super().__init__()
        width = DECODER_CHANNELS[-1]
        self.encoder = encoder = ResNetEncoder(depth, spec.in_channels, pool_ahead=True)
        self.stride = encoder.stride
        self.decoder = up_blocks(encoder.channels)
        self.last = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.head = nn.Conv2d(width, spec.classes, 1)
        initialise(self.decoder)
        initialise(self.last)
        undecide(self.head)
        allow_batches_of_one(self.encoder)
        accept_names(self, self.foreign_names)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        *skips, x = self.encoder(images)
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x = stage(skip, x)
        x = double(x)
        for convolution in self.last:
            x = F.relu(convolution(x), inplace=True)
        logits: torch.Tensor = self.head(x)
        return logits


class NormedResNetUNet(SegmentationModel):
    """BatchNorm throughout, and the image itself as the finest feature."""

    def __init__(self, spec: ModelSpec, depth: int) -> None:
        super().__init__()
        self.encoder = encoder = ResNetEncoder(depth, spec.in_channels)
        self.stride = encoder.stride
        self.full = _double(spec.in_channels, FULL_CHANNELS)
        skips = (*reversed(encoder.channels[:-1]), FULL_CHANNELS)
        outs = (*NORMED_CHANNELS, FULL_CHANNELS)
        befores = (encoder.channels[-1], *NORMED_CHANNELS)
        self.decoder = nn.ModuleList(
            _double(below + skip, out) for below, skip, out in zip(befores, skips, outs, strict=True)
        )
        self.head = nn.Conv2d(FULL_CHANNELS, spec.classes, 1)
        initialise(self.full)
        initialise(self.decoder)
        undecide(self.head)
        allow_batches_of_one(self)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        *skips, x = self.encoder(images)
        for block, skip in zip(self.decoder, (*reversed(skips), self.full(images)), strict=True):
            x = block(torch.cat([skip, double(x)], dim=1))
        logits: torch.Tensor = self.head(x)
        return logits


FORMS: dict[str, type[PlainResNetUNet] | type[NormedResNetUNet]] = {
    "plain": PlainResNetUNet,
    "batchnorm": NormedResNetUNet,
}


def build(spec: ModelSpec, depth: int, decoder: str) -> SegmentationModel:
    """Build with random weights: the encoder's drawn as torchvision draws them.

    depth      18, 34, 50 or 101
    decoder    plain or batchnorm
    """
    return FORMS[decoder](spec, depth)


def _double(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(ConvNormReLU(in_channels, out_channels), ConvNormReLU(out_channels, out_channels))
