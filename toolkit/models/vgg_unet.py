"""VGG16-UNet, as the labelme -> VOC -> U-Net tutorials have it: 24,892,437 parameters at 21 classes.

64 ─────────────────────────────► 128 concat ► 64 ► 64 ► 1x1 ► K
  128 ───────────────────► 256+128 ► 128 ► 128 ▲ x2
     256 ─────────► 512+256 ► 256 ► 256 ▲ x2
        512 ► 512+512 ► 512 ► 512 ▲ x2
           512 ▲ x2
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec, SegmentationModel, initialise
from toolkit.models.vgg_encoder import VggEncoder

DECODER_CHANNELS = (512, 256, 128, 64)

_TUTORIAL_PREFIXES = {
    "vgg.": "encoder.",
    "up_concat4.": "decoder.0.",
    "up_concat3.": "decoder.1.",
    "up_concat2.": "decoder.2.",
    "up_concat1.": "decoder.3.",
    "final.": "head.",
}


class UpBlock(nn.Module):
    """Enlarge twice (bilinear, corners aligned), put the encoder's feature in front, convolve twice."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.up = nn.UpsamplingBilinear2d(scale_factor=2)

    def forward(self, skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([skip, self.up(x)], dim=1)
        x = F.relu(self.conv1(x), inplace=True)
        return F.relu(self.conv2(x), inplace=True)


class Vgg16UNet(SegmentationModel):
    """VGG16 encoder, four decoder stages of 512, 256, 128 and 64 channels, 1x1 head.

    Also loads the tutorial's own parameter names (`vgg.*`, `up_concat*.*`, `final.*`).
    """

    stride = VggEncoder.stride

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.encoder = VggEncoder(spec.in_channels)
        stages = []
        below = self.encoder.channels[-1]
        for skip, out in zip(reversed(self.encoder.channels[:-1]), DECODER_CHANNELS, strict=True):
            stages.append(UpBlock(below + skip, out))
            below = out
        self.decoder = nn.ModuleList(stages)
        self.head = nn.Conv2d(below, spec.classes, 1)
        initialise(self)
        nn.init.normal_(self.head.weight, std=0.01)
        self.register_load_state_dict_pre_hook(_rename_tutorial_keys)  # type: ignore[no-untyped-call]

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        *skips, x = self.encoder(images)
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x = stage(skip, x)
        logits: torch.Tensor = self.head(x)
        return logits


def build(spec: ModelSpec, encoder: str = "vgg16") -> Vgg16UNet:
    """Build with random weights."""
    return Vgg16UNet(spec)


def _rename_tutorial_keys(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    for key in list(state):
        for old, new in _TUTORIAL_PREFIXES.items():
            if key.startswith(prefix + old):
                state[prefix + new + key[len(prefix + old) :]] = state.pop(key)
