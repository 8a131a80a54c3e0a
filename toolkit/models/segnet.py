"""SegNet (Badrinarayanan, Kendall and Cipolla 2015, arXiv:1511.00561).

64 64 ──────────── where the maxima were ───────────► 64 K
  128 128 ──────────────────────────────────────► 128 64
     256 256 256 ─────────────────────────► 256 256 128
        512 512 512 ───────────────── ► 512 512 256
           512 512 512 ───────► 512 512 512
                   pool   unpool
"""

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec, SegmentationModel, initialise, undecide
from toolkit.models.blocks import ConvNormReLU, allow_batches_of_one
from toolkit.models.vgg_encoder import VggEncoder

_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class SegNetEncoder(nn.Module):
    """The 13 convolutions of VGG16 with BatchNorm; parameter names are those of torchvision's `vgg16_bn`."""

    imagenet = "VGG16_BN_Weights.IMAGENET1K_V1"

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.features = VggEncoder(in_channels=in_channels, name="vgg16_bn").features

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """(N, C, H, W) -> feature (N, 512, H/32, W/32) and where each pool's maxima were, finest first, int64."""
        x, places = images, []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                x, place = F.max_pool2d(x, 2, 2, return_indices=True)
                places.append(place)
            else:
                x = layer(x)
        return x, places


class SegNet(SegmentationModel):
    """The decoder mirrors the encoder: values go back to where the maxima were, zeros between, then convolutions.

    The decoder's last convolution gives the logits, so there are 13 in each half.
    """

    stride = 32
    encoder: SegNetEncoder

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.encoder = SegNetEncoder(spec.in_channels)
        stages = []
        for stage, after in zip(reversed(_STAGES), (512, 256, 128, 64, None), strict=True):
            befores = stage[:-1] if after is None else stage
            afters = befores if after is None else (*stage[1:], after)
            stages.append(nn.Sequential(*(ConvNormReLU(a, b) for a, b in zip(befores, afters, strict=True))))
        self.decoder = nn.ModuleList(stages)
        self.head = nn.Conv2d(64, spec.classes, 3, padding=1)
        initialise(self)
        undecide(self.head)
        allow_batches_of_one(self)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        x, places = self.encoder(images)
        for stage, place in zip(self.decoder, reversed(places), strict=True):
            x = stage(F.max_unpool2d(x, place, (2, 2)))
        logits: torch.Tensor = self.head(x)
        return logits


def build(spec: ModelSpec) -> SegNet:
    """Build with random weights."""
    return SegNet(spec)
