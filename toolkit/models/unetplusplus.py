"""UNet++ (Zhou et al. 2018, arXiv:1807.10165, and 2019, arXiv:1912.05074): a U-Net whose skips are networks too.

Node X(i,j) lies at stride 2**i. It sees all nodes before it in its row, and the one below to the left, enlarged.

X00 ─► X01 ─► X02 ─► X03 ─► X04      each row: 1x1 heads on X01 .. X04
  ▼   ▲  ▼   ▲      ▲      ▲
  X10 ─► X11 ─► X12 ─► X13           ▼ /2   ▲ x2
    ▼   ▲      ▲      ▲
    X20 ─► X21 ─► X22
      ▼   ▲      ▲
      X30 ─► X31
        ▼   ▲
        X40
"""

import functools

import torch
from torch import nn

from toolkit.models.base import ModelSpec, SegmentationModel, initialise, undecide
from toolkit.models.blocks import allow_batches_of_one
from toolkit.models.unet import DoubleConv, UNetEncoder, draw_transposed

DEFAULT_WIDTH = 32
DEPTH = 4


class UNetPlusPlus(SegmentationModel):
    """Nodes X(i,j) of two 3x3 convolutions each; 2x2 transposed convolutions enlarge between rows; 1x1 heads on top.

    supervision   mean: the logits are the mean of the four heads' (the paper's accurate mode), and each head also
                  learns by itself, with weight 1
                  last: the logits are those of X(0,4) (its fast mode, unpruned), and the other heads learn too; this
                  sum of four losses is the paper's
                  none: one head, on X(0,4)
    norm          batch: BatchNorm after every convolution; none: as published
    dropout       share dropped after every convolution, before its activation; the authors' code has 0.5
    """

    stride = 2**DEPTH

    def __init__(
        self, spec: ModelSpec, *, supervision: str = "mean", norm: str = "batch", dropout: float = 0.0
    ) -> None:
        super().__init__()
        channels = tuple((spec.width or DEFAULT_WIDTH) * 2**level for level in range(DEPTH + 1))
        double = functools.partial(DoubleConv, norm=norm == "batch", bias=norm == "none", dropouts=(dropout, dropout))
        self.encoder = UNetEncoder(spec.in_channels, channels, double)
        self.ups, self.nodes = nn.ModuleDict(), nn.ModuleDict()
        for i, j in _positions():
            self.ups[f"{i}_{j}"] = nn.ConvTranspose2d(channels[i + 1], channels[i], 2, stride=2)
            self.nodes[f"{i}_{j}"] = double((j + 1) * channels[i], channels[i])
        heads = 1 if supervision == "none" else DEPTH
        self.heads = nn.ModuleList(nn.Conv2d(channels[0], spec.classes, 1) for _ in range(heads))
        self.side_weights = {"mean": (1.0,) * DEPTH, "last": (1.0,) * (DEPTH - 1), "none": ()}[supervision]
        self.supervision = supervision
        allow_batches_of_one(self)
        initialise(self)
        for up in self.ups.values():
            assert isinstance(up, nn.ConvTranspose2d)
            draw_transposed(up, gain=1.0)
        for head in self.heads:
            assert isinstance(head, nn.Conv2d)
            undecide(head)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        if self.supervision == "mean":
            return self.decode_all(images)[0]
        logits: torch.Tensor = self.heads[-1](self._top_row(images)[-1])
        return logits

    def decode_all(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits, then those of the heads on X(0,1), X(0,2), ..., as far as they are not the logits themselves."""
        tops = self._top_row(images)[-len(self.heads) :]
        sides = [head(top) for head, top in zip(self.heads, tops, strict=True)]
        if self.supervision == "mean":
            return sum(sides[1:], sides[0]) / len(sides), *sides
        return sides[-1], *sides[:-1]

    def _top_row(self, images: torch.Tensor) -> list[torch.Tensor]:
        """X(0,1) to X(0,4)."""
        rows: list[list[torch.Tensor]] = [[feature] for feature in self.encoder(images)]
        for i, j in _positions():
            below = self.ups[f"{i}_{j}"](rows[i + 1][j - 1])
            rows[i].append(self.nodes[f"{i}_{j}"](torch.cat([*rows[i], below], dim=1)))
        return rows[0][1:]


def build(spec: ModelSpec, supervision: str = "mean", norm: str = "batch", dropout: float = 0.0) -> UNetPlusPlus:
    """Build with random weights."""
    return UNetPlusPlus(spec, supervision=supervision, norm=norm, dropout=dropout)


def _positions() -> list[tuple[int, int]]:
    """(i, j) of every node but the encoder's, each after those that it sees."""
    return [(i, j) for j in range(1, DEPTH + 1) for i in range(DEPTH + 1 - j)]
