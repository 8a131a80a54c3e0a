"""What DeepLabV3, PSPNet and FastFCN have in common: a ResNet, a head on it, and an auxiliary head to learn from."""

import torch
from torch import nn
from torchvision.models.segmentation.fcn import FCNHead

from toolkit.models.base import SegmentationModel, initialise, undecide
from toolkit.models.blocks import allow_batches_of_one, enlarge
from toolkit.models.resnet_encoder import ResNetEncoder

RESIDUAL_SCALE = 0.1


class ResNetWithHead(SegmentationModel):
    """The head's logits, enlarged (bilinear) to the input's size; beside them an FCN head on the encoder's `layer3`.

    head         ends in the convolution that gives the logits; what it is fed is said by `for_head`
    side_weight  of the auxiliary head's loss; that head is torchvision's and is left out of plain predictions
    """

    encoder: ResNetEncoder

    def __init__(self, encoder: ResNetEncoder, head: nn.Sequential, classes: int, side_weight: float) -> None:
        super().__init__()
        self.stride = encoder.stride
        self.side_weights = (side_weight,)
        self.encoder = encoder
        calm_residuals(encoder)
        self.head = head
        self.side_head = FCNHead(encoder.channels[3], classes)
        for part in (self.head, self.side_head):
            initialise(part)
            last = part[-1]
            assert isinstance(last, nn.Conv2d)
            undecide(last)
        allow_batches_of_one(self)

    def for_head(self, features: list[torch.Tensor]) -> torch.Tensor:
        """The encoder's features, finest first -> what the head is fed."""
        return features[-1]

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        return enlarge(self.head(self.for_head(self.encoder(images))), images)

    def decode_all(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.encoder(images)
        return (
            enlarge(self.head(self.for_head(features)), images),
            enlarge(self.side_head(features[3]), images),
        )


def calm_residuals(encoder: nn.Module) -> None:
    """Let the blocks of an untrained ResNet or HRNet begin near the identity (Goyal et al. 2017, arXiv:1706.02677).

    They add up otherwise, dozens of them, and before BatchNorm has seen many images the logits are without bounds. The
    paper begins with 0, of which the layers before learn nothing in the first step.
    """
    for block in encoder.modules():
        if hasattr(block, "downsample"):
            last = getattr(block, "bn3", block.bn2)
            assert isinstance(last, nn.BatchNorm2d)
            nn.init.constant_(last.weight, RESIDUAL_SCALE)
