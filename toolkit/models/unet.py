"""U-Net in all its forms (Ronneberger et al. 2015, arXiv:1505.04597): one network, whose parts are chosen by name.

 C ► 64 ► 64 ──────────────────────────────────► 64+64 ► 64 ► 64 ► 1x1 ► K
        ▼ /2                                       ▲ x2
       128 ► 128 ──────────────────────► 128+128 ► 128 ► 128
              ▼ /2                        ▲ x2
             256 ► 256 ──────────► 256+256 ► 256 ► 256
                    ▼ /2            ▲ x2
                   512 ► 512 ► 512+512 ► 512 ► 512
                          ▼ /2  ▲ x2
                         1024 ► 1024

Padded ("same") convolutions keep the image's size. With valid ones, as in the paper, the network sees less the deeper
it is: 572 x 572 pixels give the logits of the 388 x 388 in their middle. The context that they need beyond the
picture's border is mirrored, and large pictures are predicted tile by tile.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.errors import UsageError
from toolkit.models.base import ModelSpec, SegmentationModel, initialise, undecide
from toolkit.models.blocks import allow_batches_of_one

TILE = 388
"""Largest side of what is predicted at once by valid convolutions; the paper's. 384 of them, a multiple of every
stride, are new in each tile, so that all tiles pool the same pixels together."""


@dataclass(frozen=True)
class UNetForm:
    """What a U-Net is made of.

    width      channels at full size, doubled at each halving; ModelSpec.width goes before it
    depth      number of halvings
    norm       batch: BatchNorm after every 3x3 convolution; none
    bias       of these convolutions: yes, no, or auto (where no BatchNorm follows, which has its own)
    up         bilinear, bilinear-aligned (corner pixels stay at the corners), nearest (with a 1x1 convolution that
               halves the channels), transposed (2x2, halves the channels), transposed-unbiased
    down       max (2x2 pooling), strided (3x3 convolution, same channels, and its activation)
    join       order of the channels that are put together: skip-first, up-first
    slope      of the activation left of zero; 0 is ReLU
    dropout    share dropped at the end of the contracting path, after each of its last two stages
    dropout1   share dropped between the first convolution of a pair and its activation
    dropout2   the same for the second one
    padding    same, valid
    head       kernel of the last convolution: 1x1, 3x3
    """

    width: int = 32
    depth: int = 4
    norm: str = "batch"
    bias: str = "auto"
    up: str = "bilinear"
    down: str = "max"
    join: str = "skip-first"
    slope: float = 0.0
    dropout: float = 0.0
    dropout1: float = 0.0
    dropout2: float = 0.0
    padding: str = "same"
    head: str = "1x1"


class DoubleConv(nn.Sequential):
    """Twice: 3x3 convolution, BatchNorm, dropout (each where wanted), activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: bool = True,
        bias: bool = False,
        slope: float = 0.0,
        dropouts: tuple[float, float] = (0.0, 0.0),
        padding: int = 1,
    ) -> None:
        layers: list[nn.Module] = []
        for before, dropout in zip((in_channels, out_channels), dropouts, strict=True):
            layers.append(nn.Conv2d(before, out_channels, 3, padding=padding, bias=bias))
            if norm:
                layers.append(nn.BatchNorm2d(out_channels))
            if dropout:
                layers.append(nn.Dropout(dropout))
            layers.append(activation(slope))
        super().__init__(*layers)


class UNetEncoder(nn.Module):
    """Double convolutions with a halving between: features at strides 1, 2, 4, ..., one for each of `channels`."""

    def __init__(
        self,
        in_channels: int,
        channels: tuple[int, ...],
        double: Callable[[int, int], nn.Module] = DoubleConv,
        *,
        strided: Callable[[int], nn.Module] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        befores = (in_channels, *channels[:-1])
        self.blocks = nn.ModuleList(double(before, after) for before, after in zip(befores, channels, strict=True))
        halve = strided or (lambda _: nn.MaxPool2d(2))
        self.downs = nn.ModuleList(halve(before) for before in channels[:-1])
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        features = [self.blocks[0](images)]
        for down, block in zip(self.downs, self.blocks[1:], strict=True):
            if len(features) == len(self.downs):
                features[-1] = self.dropout(features[-1])
            features.append(block(down(features[-1])))
        features[-1] = self.dropout(features[-1])
        return features


class UNet(SegmentationModel):
    """The encoder's features are joined again, coarsest first: enlarge x2, concatenate, double convolution.

    tile   when evaluating, the largest side of what is predicted at once, in pixels of the image: 4 more than a multiple
           of 2 ** depth. None: all of it, as tiles would differ from the whole where parts look beyond their border
           (padded convolutions, bilinear enlarging, 3x3 strides and heads)
    """

    def __init__(self, spec: ModelSpec, form: UNetForm) -> None:
        super().__init__()
        channels = tuple((spec.width or form.width) * 2**level for level in range(form.depth + 1))
        valid = form.padding == "valid"
        double = functools.partial(
            DoubleConv,
            norm=form.norm == "batch",
            bias=form.bias == "yes" or (form.bias == "auto" and form.norm == "none"),
            slope=form.slope,
            dropouts=(form.dropout1, form.dropout2),
            padding=0 if valid else 1,
        )
        strided = functools.partial(_strided, slope=form.slope) if form.down == "strided" else None
        self.encoder = UNetEncoder(spec.in_channels, channels, double, strided=strided, dropout=form.dropout)
        levels = range(form.depth - 1, -1, -1)
        self.ups = nn.ModuleList(_enlarge(form.up, channels[level + 1], channels[level]) for level in levels)
        keeps_channels = form.up.startswith("bilinear")
        self.decoder = nn.ModuleList(
            double(channels[level] + channels[level + int(keeps_channels)], channels[level]) for level in levels
        )
        kernel = int(form.head[0])
        self.head = nn.Conv2d(channels[0], spec.classes * spec.upscale**2, kernel, padding=kernel // 2)
        self.skip_first = form.join == "skip-first"
        self.upscale = spec.upscale
        self.grid = 2**form.depth
        self.stride = 1 if valid else self.grid
        self.margin = 6 * self.grid - 4 if valid else 0
        self.tile = TILE if _is_the_same_everywhere(form) else None
        allow_batches_of_one(self)
        initialise(self)
        for up in self.ups:
            if isinstance(up, nn.ConvTranspose2d):
                draw_transposed(up, gain=1.0)
        undecide(self.head)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        return self._by_tiles(images) if self.margin else self._network(images)

    def raw(self, images: torch.Tensor) -> torch.Tensor:
        """The network alone, without anything put around the picture: with valid convolutions, 572 -> 388.

        float (N, C, H, W) -> logits (N, K, r (H - 2 M), r (W - 2 M)) of the pixels in the middle; M, the `margin` that
        valid convolutions use up, is 92 at a depth of 4.

        Raises UsageError for a side at which a halving would drop pixels.
        """
        lost, least = (4, 2 * self.margin + 4) if self.margin else (0, self.grid)
        for side in images.shape[-2:]:
            if side < least or (side + lost) % self.grid:
                fitting = max(least, side + -(side + lost) % self.grid)
                raise UsageError(f"unet: a side of {side} does not fit this network. The next that does: {fitting}.")
        return self._network(images)

    def _network(self, images: torch.Tensor) -> torch.Tensor:
        *skips, x = self.encoder(images)
        for up, block, skip in zip(self.ups, self.decoder, reversed(skips), strict=True):
            x = up(x)
            cut = _centre(skip, x)
            x = block(torch.cat([cut, x] if self.skip_first else [x, cut], dim=1))
        logits: torch.Tensor = self.head(x)
        return F.pixel_shuffle(logits, self.upscale) if self.upscale > 1 else logits

    def _by_tiles(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of the image's size; when evaluating, of one tile after the other, so that memory is bounded."""
        down, across = (_spans(side, None if self.training else self.tile) for side in images.shape[-2:])
        rows = [torch.cat([self._window(images, row, column) for column in across], dim=3) for row in down]
        return torch.cat(rows, dim=2)

    def _window(self, images: torch.Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> torch.Tensor:
        """Logits of a part of the image, with its surroundings as context."""
        seen = images
        for axis, (start, stop) in ((2, rows), (3, columns)):
            length = max(4, 4 + self.grid * -((4 - (stop - start)) // self.grid))
            seen = mirrored(seen, axis, start - self.margin, start + length + self.margin)
        logits = self.raw(seen)
        return logits[..., : self.upscale * (rows[1] - rows[0]), : self.upscale * (columns[1] - columns[0])]


def mirrored(images: torch.Tensor, axis: int, start: int, stop: int) -> torch.Tensor:
    """Rows or columns `start` to `stop` (excluded) of an image that is mirrored at its borders without end."""
    side = images.shape[axis]
    at = torch.arange(start, stop, device=images.device) % (2 * side)
    return images.index_select(axis, torch.minimum(at, 2 * side - 1 - at))


def activation(slope: float) -> nn.Module:
    """ReLU, or LeakyReLU with this slope left of zero."""
    return nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)


def draw_transposed(layer: nn.ConvTranspose2d, gain: float) -> None:
    """He's rule for a 2x2 transposed convolution of stride 2, each output of which has one input pixel.

    gain   2 if a ReLU follows, 1 if nothing does
    """
    nn.init.normal_(layer.weight, std=(gain / layer.in_channels) ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def build(spec: ModelSpec, **form: Any) -> UNet:
    """Build with random weights; `form` as in UNetForm."""
    return UNet(spec, UNetForm(**form))


def _is_the_same_everywhere(form: UNetForm) -> bool:
    """Whether no part but the mirroring knows where the picture ends, so that tiles give what the whole gives."""
    local = form.up in ("nearest", "transposed", "transposed-unbiased")
    return local and form.padding == "valid" and form.down == "max" and form.head == "1x1"


def _strided(channels: int, slope: float) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, stride=2, padding=1), activation(slope))


def _enlarge(kind: str, in_channels: int, out_channels: int) -> nn.Module:
    if kind == "nearest":  # before enlarging, a 1x1 convolution gives the same for a quarter of the work
        return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.Upsample(scale_factor=2, mode="nearest"))
    if kind.startswith("transposed"):
        return nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2, bias=kind == "transposed")
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=kind == "bilinear-aligned")


def _centre(feature: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The middle of a feature, as large as another one."""
    (H, W), (h, w) = feature.shape[-2:], like.shape[-2:]
    if (h, w) == (H, W):
        return feature
    top, left = (H - h) // 2, (W - w) // 2
    return feature[..., top : top + h, left : left + w]


def _spans(side: int, tile: int | None) -> list[tuple[int, int]]:
    """Parts of a side that are predicted at once. Each begins at a multiple of `tile` - 4."""
    if tile is None or side <= tile:
        return [(0, side)]
    return [(start, min(start + tile - 4, side)) for start in range(0, side, tile - 4)]
