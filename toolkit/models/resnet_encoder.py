"""ResNet as an encoder (He et al. 2015, arXiv:1512.03385): torchvision's, tapped after each stage."""

import torch
import torchvision
from torch import nn

DEPTHS = (18, 34, 50, 101)


class ResNetEncoder(nn.Module):
    """torchvision's ResNet without its classifier; parameter names are torchvision's (`conv1`, `layer1.0.conv1`, ...).

    stride      of the coarsest feature: 32, or, with dilated convolutions instead of strides, 16 or 8 (Chen et al. 2016,
                arXiv:1606.00915; depths 50 and 101 only)
    pool_ahead  pool windows begin at their pixel instead of one before it, as the U-Net tutorials have it
    """

    def __init__(self, depth: int, in_channels: int = 3, *, stride: int = 32, pool_ahead: bool = False) -> None:
        super().__init__()
        dilated = {32: (False, False, False), 16: (False, False, True), 8: (False, True, True)}[stride]
        net = getattr(torchvision.models, f"resnet{depth}")(weights=None, replace_stride_with_dilation=list(dilated))
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        if in_channels != 3:
            self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        if pool_ahead:
            self.maxpool = nn.MaxPool2d(3, 2, padding=0, ceil_mode=True)
        self.layer1, self.layer2, self.layer3, self.layer4 = net.layer1, net.layer2, net.layer3, net.layer4
        widen = 4 if depth >= 50 else 1
        self.channels = (64, *(widen * n for n in (64, 128, 256, 512)))
        self.stride = stride
        self.imagenet = f"ResNet{depth}_Weights.IMAGENET1K_V1"

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """(N, C, H, W) -> five features, finest first, at strides 2, 4, 8, 16, 32, none above `stride`."""
        features = [self.relu(self.bn1(self.conv1(images)))]
        x = self.maxpool(features[0])
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            features.append(x)
        return features


def resnet_depth(encoder: str) -> int:
    """`resnet50` -> 50."""
    return int(encoder.removeprefix("resnet"))
