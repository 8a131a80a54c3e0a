"""What is exported of a model: the decoder, and the normalising before it where that is wanted."""

from typing import Any

import torch
from torch import nn

from toolkit.engines.base import ModelCard
from toolkit.engines.expressible import expressible, with_plain_pooling
from toolkit.models.base import SegmentationModel

INPUT, OUTPUT = "images", "logits"
"""What the two tensors are called in an exported file."""

_EXAMPLE = (2, 3, 4)
"""Pictures, and sides in strides, of the example that is traced: numbers that a converter takes for no special case."""

_CHECKED = ((1, 2, 5), (3, 4, 1))
"""The same of the examples that a result is compared with, which it has not seen."""


class Network(nn.Module):
    """A model as engines call it: sides are multiples of the card's stride, so nothing is padded or cut.

    float32 (N, 3, h, w) normalised RGB, or uint8 (N, h, w, 3) RGB in 0..255 where the card says raw_input
    -> float32 (N, K, r h, r w) logits.

    plain_pooling   see `with_plain_pooling`
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, model: SegmentationModel, card: ModelCard, *, plain_pooling: bool = False) -> None:
        super().__init__()
        other = expressible(model, card.preprocess.stride)
        self.model = with_plain_pooling(other) if plain_pooling else other
        self.raw_input = card.raw_input
        self.fits = card.preprocess.stride % model.stride == 0
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (card.preprocess.mean, card.preprocess.std))
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.raw_input:
            images = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        logits: torch.Tensor = self.model.decode(images) if self.fits else self.model(images)  # type: ignore[operator]
        return logits


def example(card: ModelCard) -> torch.Tensor:
    """An input to trace a Network with."""
    return _noise(card, *_EXAMPLE)


def unseen(card: ModelCard, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Inputs of other sizes and numbers of pictures, to compare with; the same sizes with each seed."""
    return tuple(_noise(card, *shape, seed) for shape in _CHECKED)


def network_input(card: ModelCard, images: torch.Tensor) -> torch.Tensor:
    """uint8 (N, h, w, 3) RGB -> what the Network of this card takes, contiguous: itself, or normalised."""
    return images.contiguous() if card.raw_input else card.preprocess.normalise(images).contiguous()


def dynamic_shapes(card: ModelCard) -> dict[int, Any]:
    """For torch.export: any number of pictures, sides that are any multiples of the stride."""
    batch, rows, columns = (torch.export.Dim(name, min=1) for name in ("batch", "rows", "columns"))
    first = 1 if card.raw_input else 2
    return {0: batch, first: card.preprocess.stride * rows, first + 1: card.preprocess.stride * columns}


def _noise(card: ModelCard, pictures: int, rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    stride = card.preprocess.stride
    size = (pictures, rows * stride, columns * stride, 3)
    images = torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return network_input(card, images)
