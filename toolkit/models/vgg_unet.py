"""VGG U-Nets; with VGG16, the model of the labelme -> VOC -> U-Net tutorials: 24,892,437 parameters at 21 classes.

64 ─────────────────────────────► 128 concat ► 64 ► 64 ► 1x1 ► K
  128 ───────────────────► 256+128 ► 128 ► 128 ▲ x2
     256 ─────────► 512+256 ► 256 ► 256 ▲ x2
        512 ► 512+512 ► 512 ► 512 ▲ x2
           512 ▲ x2
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec, SegmentationModel, initialise, undecide
from toolkit.models.blocks import allow_batches_of_one
from toolkit.models.foreign_names import accept_names
from toolkit.models.vgg_encoder import VggEncoder

DECODER_CHANNELS = (512, 256, 128, 64)

TUTORIAL_DECODER = {
    "up_concat4.": "decoder.0.",
    "up_concat3.": "decoder.1.",
    "up_concat2.": "decoder.2.",
    "up_concat1.": "decoder.3.",
    "final.": "head.",
}
"""What the tutorials call the parts of the decoder, and what they are called here."""


class UpBlock(nn.Module):
    """Enlarge twice (bilinear, corners aligned), put the encoder's feature in front, convolve twice.

    active   a ReLU follows each convolution, as in the tutorials' repository; one of the texts has none
    """

    def __init__(self, in_channels: int, out_channels: int, *, active: bool = True) -> None:
        super().__init__()
        self.active = active
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.up = nn.UpsamplingBilinear2d(scale_factor=2)

    def forward(self, skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """(N, C1, 2H, 2W) and (N, C2, H, W), C1 + C2 = in_channels -> (N, out_channels, 2H, 2W)."""
        x = torch.cat([skip, self.up(x)], dim=1)
        for conv in (self.conv1, self.conv2):
            x = F.relu(conv(x), inplace=True) if self.active else conv(x)
        return x


def up_blocks(channels: tuple[int, ...], *, active: bool = True) -> nn.ModuleList:
    """The tutorials' four decoder stages over features of these channels (finest first), coarsest stage first."""
    befores = (channels[-1], *DECODER_CHANNELS[:-1])
    return nn.ModuleList(
        UpBlock(below + skip, out, active=active)
        for below, skip, out in zip(befores, reversed(channels[:-1]), DECODER_CHANNELS, strict=True)
    )


class VggUNet(SegmentationModel):
    """VGG encoder, four decoder stages of 512, 256, 128 and 64 channels, 1x1 head.

    Also loads the tutorial's own parameter names (`vgg.*`, `up_concat*.*`, `final.*`).
    """

    stride = VggEncoder.stride
    foreign_names: Mapping[str, str] = {"vgg.": "encoder.", **TUTORIAL_DECODER}

    def __init__(self, spec: ModelSpec, encoder: str, *, active: bool = True) -> None:
        super().__init__()
        self.encoder = VggEncoder(spec.in_channels, encoder)
        self.decoder = up_blocks(self.encoder.channels, active=active)
        self.head = nn.Conv2d(DECODER_CHANNELS[-1], spec.classes, 1)
        initialise(self)
        undecide(self.head)
        allow_batches_of_one(self)
        accept_names(self, self.foreign_names)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        *skips, x = self.encoder(images)
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x = stage(skip, x)
        logits: torch.Tensor = self.head(x)
        return logits


def build(spec: ModelSpec, encoder: str = "vgg16", activation: str = "relu") -> VggUNet:
    """Build with random weights.

    encoder     vgg11, vgg13, vgg16, vgg19, or one of them with `_bn`
    activation  after the decoder's convolutions: "relu" or "none"
    """
    return VggUNet(spec, encoder, active=activation == "relu")
