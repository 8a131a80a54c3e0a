"""V-Net in two dimensions (Milletari et al. 2016, arXiv:1606.04797): residual stages of 5x5 convolutions, no pooling.

C ► [16 x1] ───────────────────────────────► 16+16 [32 x1] ► 1x1 ► K
      ▼ /2                                     ▲ x2
     [32 x2] ───────────────────────► 32+32 [64 x2]
        ▼ /2                            ▲ x2
       [64 x3] ──────────────► 64+64 [128 x3]
          ▼ /2                   ▲ x2
        [128 x3] ────► 128+128 [256 x3]
            ▼ /2         ▲ x2
           [256 x3] ─────┘          [channels x convolutions] + its own input
"""

import itertools

import torch
from torch import nn

from toolkit.models.base import ModelSpec, SegmentationModel, initialise, undecide
from toolkit.models.blocks import allow_batches_of_one
from toolkit.models.unet import draw_transposed

DEFAULT_WIDTH = 16
CONVOLUTIONS = (1, 2, 3, 3, 3)


class Stage(nn.Module):
    """5x5 convolutions, whose sum with the stage's input goes through a PReLU.

    The input has as many channels as the output, or, in the first stage, the image's, which are repeated: the paper's
    one channel sixteen times.
    """

    def __init__(self, in_channels: int, channels: int, convolutions: int, norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(convolutions):
            if index:
                layers.append(nn.PReLU(channels))
            before = channels if index else in_channels
            layers += _normed(nn.Conv2d(before, channels, 5, padding=2, bias=not norm), norm)
        self.layers = nn.Sequential(*layers)
        self.activation = nn.PReLU(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        C = y.shape[1]
        if x.shape[1] != C:
            x = torch.cat([x] * -(-C // x.shape[1]), 1)[:, :C]
        out: torch.Tensor = self.activation(y + x)
        return out


class VNetEncoder(nn.Module):
    """Stages with a 2x2 convolution of stride 2 between: features at strides 1, 2, 4, 8, 16."""

    def __init__(self, in_channels: int, channels: tuple[int, ...], norm: bool) -> None:
        super().__init__()
        befores = (in_channels, *channels[1:])
        self.stages = nn.ModuleList(
            Stage(before, after, count, norm)
            for before, after, count in zip(befores, channels, CONVOLUTIONS, strict=True)
        )
        self.downs = nn.ModuleList(
            nn.Sequential(*_normed(nn.Conv2d(before, after, 2, stride=2, bias=not norm), norm), nn.PReLU(after))
            for before, after in itertools.pairwise(channels)
        )

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        features = [self.stages[0](images)]
        for down, stage in zip(self.downs, self.stages[1:], strict=True):
            features.append(stage(down(features[-1])))
        return features


class VNet(SegmentationModel):
    """Coarsest first: a 2x2 transposed convolution halves the channels, then concatenate and a residual stage.

    norm   batch: BatchNorm after every convolution; none: as published. The paper has none; with it the network
           learns at ordinary rates from random weights, which residual sums without it are less sure to do.
    """

    stride = 2 ** (len(CONVOLUTIONS) - 1)

    def __init__(self, spec: ModelSpec, *, norm: str = "batch") -> None:
        super().__init__()
        normed = norm == "batch"
        channels = tuple((spec.width or DEFAULT_WIDTH) * 2**level for level in range(len(CONVOLUTIONS)))
        self.encoder = VNetEncoder(spec.in_channels, channels, normed)
        self.ups, self.decoder = nn.ModuleList(), nn.ModuleList()
        below = channels[-1]
        for skip, count in zip(reversed(channels[:-1]), reversed(CONVOLUTIONS[:-1]), strict=True):
            enlarge = nn.ConvTranspose2d(below, skip, 2, stride=2, bias=not normed)
            self.ups.append(nn.Sequential(*_normed(enlarge, normed), nn.PReLU(skip)))
            self.decoder.append(Stage(2 * skip, 2 * skip, count, normed))
            below = 2 * skip
        self.head = nn.Conv2d(below, spec.classes, 1)
        allow_batches_of_one(self)
        initialise(self)
        for part in self.ups.modules():
            if isinstance(part, nn.ConvTranspose2d):
                draw_transposed(part, gain=2.0)
        undecide(self.head)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        *skips, x = self.encoder(images)
        for up, stage, skip in zip(self.ups, self.decoder, reversed(skips), strict=True):
            x = stage(torch.cat([up(x), skip], dim=1))
        logits: torch.Tensor = self.head(x)
        return logits


def build(spec: ModelSpec, norm: str = "batch") -> VNet:
    """Build with random weights."""
    return VNet(spec, norm=norm)


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: bool) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels)] if norm else [convolution]
