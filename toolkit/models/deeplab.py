"""DeepLabV3 (Chen et al. 2017, arXiv:1706.05587) and DeepLabV3+ (Chen et al. 2018, arXiv:1802.02611) on a ResNet.

DeepLabV3 is torchvision's: 42,004,074 parameters at 21 classes with ResNet-50. DeepLabV3+ puts the decoder of its
paper on torchvision's atrous spatial pyramid pooling (ASPP):

image ► 64 ► 256 at 1/4 ──────────► 1x1 ► 48 ───────────────────┐
               512 at 1/8                                    concat 304 ► 256 ► 256 ► 1x1 ► K ► x4
                 1024 at 1/16                                   │
                   2048 at 1/16, dilated ► ASPP ► 256 ► x4 ─────┘
ASPP: 1x1, 3x3 dilated by 6, by 12, by 18, and the mean of the image, 256 each ► 1x1 ► 256
"""

from typing import ClassVar

import torch
from torch import nn
from torchvision.models.segmentation.deeplabv3 import ASPP, DeepLabHead

from toolkit.models.base import ModelSpec, SegmentationModel, initialise, undecide
from toolkit.models.blocks import ConvNormReLU, allow_batches_of_one, enlarge
from toolkit.models.foreign_names import accept_names
from toolkit.models.resnet_encoder import ResNetEncoder, resnet_depth
from toolkit.models.resnet_head import ResNetWithHead, calm_residuals

DILATIONS = {16: (6, 12, 18), 8: (12, 24, 36)}
"""Of the ASPP by the stride of what it sees, so that it always looks equally far."""

SIDE_WEIGHT = 0.5
"""The paper has no auxiliary head; this is the weight in torchvision's reference training."""

LOW_CHANNELS = 48
ASPP_CHANNELS = 256


class DeepLabV3(ResNetWithHead):
    """Dilated ResNet, ASPP and one 3x3 convolution. Also loads the names of torchvision's DeepLabV3 (`backbone.*`)."""

    foreign_names: ClassVar[dict[str, str]] = {
        "backbone.": "encoder.",
        "classifier.": "head.",
        "aux_classifier.": "side_head.",
    }

    def __init__(self, spec: ModelSpec, depth: int = 50, stride: int = 8) -> None:
        encoder = ResNetEncoder(depth, spec.in_channels, stride=stride)
        head = DeepLabHead(encoder.channels[-1], spec.classes, DILATIONS[stride])
        super().__init__(encoder, head, spec.classes, SIDE_WEIGHT)
        accept_names(self, self.foreign_names)


class DeepLabV3Plus(SegmentationModel):
    """Dilated ResNet, ASPP, and a decoder that joins it with the feature at a quarter of the image's size."""

    def __init__(self, spec: ModelSpec, depth: int = 50, stride: int = 16) -> None:
        super().__init__()
        self.stride = stride
        self.encoder = ResNetEncoder(depth, spec.in_channels, stride=stride)
        self.aspp = ASPP(self.encoder.channels[-1], DILATIONS[stride], ASPP_CHANNELS)
        self.low = ConvNormReLU(self.encoder.channels[1], LOW_CHANNELS, 1)
        self.decoder = nn.Sequential(ConvNormReLU(ASPP_CHANNELS + LOW_CHANNELS, 256), ConvNormReLU(256, 256))
        self.head = nn.Conv2d(256, spec.classes, 1)
        calm_residuals(self.encoder)
        for part in (self.aspp, self.low, self.decoder):
            initialise(part)
        undecide(self.head)
        allow_batches_of_one(self)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        features = self.encoder(images)
        low = self.low(features[1])
        x = torch.cat([enlarge(self.aspp(features[-1]), low), low], dim=1)
        return enlarge(self.head(self.decoder(x)), images)


def build_v3(spec: ModelSpec, encoder: str = "resnet50", stride: str = "8") -> DeepLabV3:
    """Build DeepLabV3 with random weights; stride of the coarsest feature: 8 or 16."""
    return DeepLabV3(spec, resnet_depth(encoder), int(stride))


def build_v3plus(spec: ModelSpec, encoder: str = "resnet50", stride: str = "16") -> DeepLabV3Plus:
    """Build DeepLabV3+ with random weights; stride of the coarsest feature: 16 or 8."""
    return DeepLabV3Plus(spec, resnet_depth(encoder), int(stride))
