"""VGG as an encoder (Simonyan and Zisserman 2014, arXiv:1409.1556): image -> features at several strides, finest first."""

import torch
from torch import nn

BLOCKS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
"""Convolutions in each of the five blocks: the paper's configurations A, B, D and E."""


class VggEncoder(nn.Module):
    """The convolutions of a VGG, tapped after each of its five blocks; the last pool is not used.

    Module numbers, and so parameter names, are those of torchvision's `vgg16().features`.

    name    vgg11, vgg13, vgg16 or vgg19; with `_bn`, BatchNorm follows each convolution, as torchvision has it
    """

    channels = (64, 128, 256, 512, 512)
    stride = 16

    def __init__(self, in_channels: int = 3, name: str = "vgg16") -> None:
        super().__init__()
        depth, _, normed = name.partition("_")
        layers: list[nn.Module] = []
        self.pools: list[int] = []
        for convolutions, channels in zip(BLOCKS[depth], self.channels, strict=True):
            for _ in range(convolutions):
                layers.append(nn.Conv2d(in_channels, channels, 3, padding=1))
                if normed:
                    layers.append(nn.BatchNorm2d(channels))
                layers.append(nn.ReLU(inplace=True))
                in_channels = channels
            self.pools.append(len(layers))
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.imagenet = f"{name.upper()}_Weights.IMAGENET1K_V1"

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """(N, C, H, W) -> five features at strides 1, 2, 4, 8, 16."""
        taps = []
        x = images
        for index, layer in enumerate(self.features):
            if index in self.pools:
                taps.append(x)
            if index == self.pools[-1]:
                break
            x = layer(x)
        return taps
