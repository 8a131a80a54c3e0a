"""HRNetV2 for segmentation (Wang et al. 2019, arXiv:1908.07919); its encoder is timm's.

image ► 1/4 ──► C ───┬──► C ───┬──► C ───┬──► C ─────────┐
                     └──► 2C ──┼──► 2C ──┼──► 2C ► x2 ───┤ concat 15C ► 1x1 ► 15C ► 1x1 ► K ► x4
                               └──► 4C ──┼──► 4C ► x4 ───┤
                                         └──► 8C ► x8 ───┘
C: 18, 32 or 48; between the columns every branch hears of every other
"""

from typing import Any

import torch
from torch import nn

from toolkit.errors import UsageError
from toolkit.models.base import ModelSpec, SegmentationModel, initialise, undecide
from toolkit.models.blocks import ConvNormReLU, allow_batches_of_one, enlarge
from toolkit.models.resnet_head import RESIDUAL_SCALE, calm_residuals

try:
    import timm
except ModuleNotFoundError as error:
    raise UsageError(f"hrnet needs {error.name}: pip install 'seg-toolkit[smp]'") from None

BRANCHES = (1, 2, 3, 4)
"""Of timm's features: those at strides 4, 8, 16 and 32; 0 would be the stem's."""


class HRNet(SegmentationModel):
    """Four branches of one network, joined at a quarter of the image's size.

    The encoder's parameters have timm's names; those of its classifier are left out.
    """

    stride = 32

    def __init__(self, spec: ModelSpec, encoder: str = "hrnet_w18") -> None:
        super().__init__()
        # '' asks for the branches themselves: timm's default widens them by layers made for classifying
        net: Any = timm.create_model(
            encoder, features_only=True, feature_location="", out_indices=BRANCHES, in_chans=spec.in_channels
        )
        config: Any = timm.get_pretrained_cfg(encoder)
        net.imagenet = f"timm:{encoder}.{config.tag}"
        channels = sum(net.feature_info.channels())
        calm_residuals(net)
        _calm_exchange(net)
        self.encoder = net
        self.join = ConvNormReLU(channels, channels, 1)
        self.head = nn.Conv2d(channels, spec.classes, 1)
        initialise(self.join)
        undecide(self.head)
        allow_batches_of_one(self)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        branches = self.encoder(images)
        x = torch.cat([enlarge(branch, branches[0]) for branch in branches], dim=1)
        return enlarge(self.head(self.join(x)), images)


def build(spec: ModelSpec, encoder: str = "hrnet_w18") -> HRNet:
    """Build with random weights."""
    return HRNet(spec, encoder)


def _calm_exchange(encoder: nn.Module) -> None:
    """Let the branches of an untrained encoder begin on their own, for the reason given in `calm_residuals`."""
    for stage in encoder.modules():
        for path in (path for row in getattr(stage, "fuse_layers", ()) for path in row):
            norms = [part for part in path.modules() if isinstance(part, nn.BatchNorm2d)]
            if norms:
                nn.init.constant_(norms[-1].weight, RESIDUAL_SCALE)
