"""Encoders: image -> features at several strides, finest first."""

import torch
from torch import nn

VGG16 = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool")
"""Configuration D of Simonyan and Zisserman 2014 (arXiv:1409.1556)."""


class VggEncoder(nn.Module):
    """The convolutions of VGG16, tapped after each of its five blocks; the last pool is not used.

    Module numbers, and so parameter names, are those of torchvision's `vgg16().features`.
    """

    channels = (64, 128, 256, 512, 512)
    stride = 16
    imagenet = "VGG16_Weights.IMAGENET1K_V1"

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.pools: list[int] = []
        for item in VGG16:
            if isinstance(item, str):
                self.pools.append(len(layers))
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers += [nn.Conv2d(in_channels, item, 3, padding=1), nn.ReLU(inplace=True)]
                in_channels = item
        self.features = nn.Sequential(*layers)

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
