"""U2-Net (Qin et al. 2020, arXiv:2005.09007): a U of blocks that are small Us themselves.

RSU-7 ────────────────────────────► RSU-7  ► side 1 ─┐
   RSU-6 ─────────────────────► RSU-6 ▲ x2 ► side 2 ─┤
      RSU-5 ──────────────► RSU-5 ▲ x2     ► side 3 ─┤ all at full size,
         RSU-4 ───────► RSU-4 ▲ x2         ► side 4 ─┤ concat ► 1x1 ► K
           RSU-4F ► RSU-4F ▲ x2            ► side 5 ─┤
              RSU-4F ▲ x2                  ► side 6 ─┘

The paper finds one salient object with a sigmoid and one channel; here every output has K logits. Its pooling rounds up;
here images are padded to a multiple of 32, at which every pool of every block halves exactly. Enlarging is bilinear with
corners not aligned, torch's default and so the authors'; the tutorial's copy aligns them.
"""

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec, SegmentationModel, initialise, undecide
from toolkit.models.blocks import ConvNormReLU, allow_batches_of_one, enlarge

_HEIGHTS = (7, 6, 5, 4, 4, 4)
"""Levels of the blocks, finest first; those of the two coarsest stages are dilated instead of pooled."""

_POOLED = 4

_ENCODERS = {  # per stage: channels inside and after the block
    "u2net": ((32, 64), (32, 128), (64, 256), (128, 512), (256, 512), (256, 512)),
    "u2netp": ((16, 64),) * 6,
}
_DECODERS = {
    "u2net": ((16, 64), (32, 64), (64, 128), (128, 256), (256, 512)),
    "u2netp": ((16, 64),) * 5,
}


class Rsu(nn.Module):
    """Residual U-block: a U-Net of `height` levels whose output is added to its first feature.

    (N, in_channels, H, W) -> (N, out_channels, H, W). Levels are a pool apart and H and W multiples of
    2 ** (height - 2); if `dilated`, all are at the same size, dilated by 1, 2, 4, ... (the paper's RSU-4F).
    """

    def __init__(
        self, in_channels: int, middle_channels: int, out_channels: int, height: int, *, dilated: bool = False
    ) -> None:
        super().__init__()
        self.dilated = dilated
        levels = height - 1
        dilations = [2**level if dilated else 1 for level in range(levels)]
        befores = [out_channels] + [middle_channels] * (levels - 1)
        afters = [out_channels] + [middle_channels] * (levels - 1)
        self.stem = ConvNormReLU(in_channels, out_channels)
        self.down = nn.ModuleList(
            ConvNormReLU(before, middle_channels, dilation=d) for before, d in zip(befores, dilations, strict=True)
        )
        self.bottom = ConvNormReLU(middle_channels, middle_channels, dilation=2**levels if dilated else 2)
        self.up = nn.ModuleList(
            ConvNormReLU(2 * middle_channels, after, dilation=d) for after, d in zip(afters, dilations, strict=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stem = x = self.stem(x)
        skips: list[torch.Tensor] = []
        for down in self.down:
            x = down(F.max_pool2d(x, 2) if skips and not self.dilated else x)
            skips.append(x)
        x = self.bottom(x)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = up(torch.cat([enlarge(x, skip), skip], dim=1))
        residual: torch.Tensor = x + stem
        return residual


class U2NetEncoder(nn.Module):
    """Six residual U-blocks with a halving max-pool between."""

    def __init__(self, in_channels: int, stages: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        blocks = []
        for level, (middle, out) in enumerate(stages):
            blocks.append(Rsu(in_channels, middle, out, _HEIGHTS[level], dilated=level >= _POOLED))
            in_channels = out
        self.stages = nn.ModuleList(blocks)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """(N, C, H, W) -> six features at strides 1, 2, 4, 8, 16, 32."""
        features: list[torch.Tensor] = []
        for stage in self.stages:
            features.append(stage(F.max_pool2d(features[-1], 2) if features else images))
        return features


class U2Net(SegmentationModel):
    """Every decoder stage and the coarsest encoder stage give logits; a 1x1 convolution fuses the six, all are learnt from.

    The fusion begins as the mean of the six, so that what the side outputs learn counts from the first step.
    """

    stride = 32
    side_weights = (1.0,) * 6
    encoder: U2NetEncoder

    def __init__(self, spec: ModelSpec, form: str) -> None:
        super().__init__()
        encoder, decoder = _ENCODERS[form], _DECODERS[form]
        self.encoder = U2NetEncoder(spec.in_channels, encoder)
        belows = [out for _, out in (*decoder[1:], encoder[-1])]
        self.decoder = nn.ModuleList(
            Rsu(below + encoder[level][1], middle, out, _HEIGHTS[level], dilated=level >= _POOLED)
            for level, (below, (middle, out)) in enumerate(zip(belows, decoder, strict=True))
        )
        scored = [out for _, out in (*decoder, encoder[-1])]
        self.sides = nn.ModuleList(nn.Conv2d(channels, spec.classes, 3, padding=1) for channels in scored)
        self.fuse = nn.Conv2d(len(scored) * spec.classes, spec.classes, 1)
        initialise(self)
        for side in self.sides:
            assert isinstance(side, nn.Conv2d)
            undecide(side)
        with torch.no_grad():
            each = torch.eye(spec.classes) / len(scored)
            self.fuse.weight.copy_(torch.cat([each] * len(scored), dim=1)[:, :, None, None])
        allow_batches_of_one(self)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        return self.decode_all(images)[0]

    def decode_all(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.encoder(images)
        scored = [features[-1]]  # coarsest first
        for stage, skip in zip(reversed(self.decoder), reversed(features[:-1]), strict=True):
            scored.append(stage(torch.cat([enlarge(scored[-1], skip), skip], dim=1)))
        sides = [enlarge(side(x), images) for side, x in zip(self.sides, reversed(scored), strict=True)]
        return (self.fuse(torch.cat(sides, dim=1)), *sides)


def build(spec: ModelSpec, form: str) -> U2Net:
    """Build with random weights; `form` is "u2net" (the paper's 176.3 MB) or "u2netp" (4.7 MB)."""
    return U2Net(spec, form)
