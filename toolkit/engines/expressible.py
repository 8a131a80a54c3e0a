"""Models as a graph can hold them: the same numbers, by operations that every converter knows."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import SegmentationModel
from toolkit.models.segnet import SegNet
from toolkit.models.unet import UNet


def expressible(model: SegmentationModel, stride: int) -> SegmentationModel:
    """The model itself, or a copy that shares its weights and computes the same another way.

    stride   the sides of all pictures will be multiples of this
    """
    if type(model) is UNet and model.margin and stride % model.grid == 0:
        return _as(_UNetInOnePiece, model)
    if type(model) is SegNet:
        return _as(_SegNetByComparing, model)
    return model


def with_plain_pooling(module: nn.Module) -> nn.Module:
    """A copy that shares the weights, in which means over parts of the picture are products of matrices.

    PyTorch's ONNX exporter writes them for the one size of its example.
    """
    if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size not in (1, (1, 1)):
        return _MeansOfParts(module.output_size)
    other = copy.copy(module)
    other._modules = {name: part and with_plain_pooling(part) for name, part in module._modules.items()}
    return other


def _as(kind: type[SegmentationModel], model: SegmentationModel) -> SegmentationModel:
    other = copy.copy(model)
    other.__class__ = kind
    return other


class _UNetInOnePiece(UNet):
    """Valid convolutions without tiles, whose number depends on the picture's size, for sides that fit the grid."""

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        seen = images
        for axis in (2, 3):
            seen = _mirrored(seen, axis, self.margin, self.margin + 4)
        H, W = images.shape[-2:]
        return self._network(seen)[..., : self.upscale * H, : self.upscale * W]


def _mirrored(images: torch.Tensor, axis: int, before: int, after: int) -> torch.Tensor:
    """As `toolkit.models.unet.mirrored`, with the side as a tensor: the ONNX exporter divides by no other that varies."""
    side = images.shape[axis]
    last = torch.arange(side, device=images.device)[-1:]
    at = torch.remainder(torch.arange(-before, side + after, device=images.device), 2 * last + 2)
    return images.index_select(axis, torch.minimum(at, 2 * last + 1 - at))


class _MeansOfParts(nn.Module):
    """nn.AdaptiveAvgPool2d: part i of n goes from pixel floor(i H / n) to ceil((i + 1) H / n), excluded."""

    def __init__(self, parts: int | tuple[int | None, ...] | None) -> None:
        super().__init__()
        self.parts = parts if isinstance(parts, tuple) else (parts, parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = (_shares(x.shape[axis], n, x) for axis, n in zip((2, 3), self.parts, strict=True))
        return rows @ x @ columns.transpose(0, 1)


def _shares(length: int, parts: int | None, like: torch.Tensor) -> torch.Tensor:
    """(parts, length): how much of each part every pixel is; each row adds up to 1."""
    parts = length if parts is None else parts
    index = torch.arange(parts, device=like.device)[:, None]
    first, last = index * length // parts, ((index + 1) * length + parts - 1) // parts
    pixel = torch.arange(length, device=like.device)
    return ((pixel >= first) & (pixel < last)).to(like.dtype) / (last - first).to(like.dtype)


class _SegNetByComparing(SegNet):
    """SegNet without indices of maxima: runtimes number them differently, or only for pictures of one size."""

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        x, places = images, []
        for layer in self.encoder.features:
            if isinstance(layer, nn.MaxPool2d):
                x, place = _pool(x)
                places.append(place)
            else:
                x = layer(x)
        for stage, place in zip(self.decoder, reversed(places), strict=True):
            x = stage(_unpool(x, place))
        logits: torch.Tensor = self.head(x)
        return logits


def _pool(x: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """(N, C, 2h, 2w) -> the maxima of squares of four, (N, C, h, w), and for each corner whether it is there."""
    maxima = F.max_pool2d(x, 2)
    place = []
    free = torch.ones_like(maxima)
    for row in (0, 1):
        for column in (0, 1):  # of equal ones the first counts, as in PyTorch
            here = (x[..., row::2, column::2] == maxima).to(x.dtype) * free
            free = free - here
            place.append(here)
    return maxima, tuple(place)


def _unpool(x: torch.Tensor, place: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The inverse: (N, C, h, w) -> (N, C, 2h, 2w), zeros where the maxima were not."""
    return F.pixel_shuffle(torch.stack([x * here for here in place], dim=2).flatten(1, 2), 2)
