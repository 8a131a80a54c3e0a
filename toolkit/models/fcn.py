"""Fully convolutional networks on VGG16 (Long, Shelhamer and Darrell 2015, arXiv:1411.4038): FCN-32s, -16s and -8s.

pool3 (1/8) ──────────────────── 1x1 ► K ───────────┐
   pool4 (1/16) ──────── 1x1 ► K ─────┐             │
      pool5 (1/32) ► 7x7 4096 ► 1x1 4096 ► 1x1 ► K ▲ x2 + ▲ x2 + ▲ x8
                                           FCN-16s: ▲ x2 + ▲ x16     FCN-32s: ▲ x32

The paper pads images by 100 pixels, so that the 7x7 convolution fits at the border, and cuts the result back. Here that
convolution is padded by 3 instead: each of its outputs is centred on a cell of pool5, nothing is moved and nothing need
be cut. Images are padded to a multiple of 32 only.
"""

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec, SegmentationModel, initialise, undecide
from toolkit.models.vgg_encoder import VggEncoder

_SKIP_CHANNELS = {32: (), 16: (512,), 8: (512, 256)}


class FcnEncoder(nn.Module):
    """VGG16 with its fully connected layers as convolutions.

    Names are those of torchvision's `vgg16`, with `classifier.0` and `.3` reshaped to (fc, 512, 7, 7) and (fc, fc, 1, 1).
    Weights that lack the classifier, or have it in another width, are good for the rest.
    """

    imagenet = "VGG16_Weights.IMAGENET1K_V1"
    optional = ("classifier.",)

    def __init__(self, in_channels: int, fc: int) -> None:
        super().__init__()
        self.features = VggEncoder(in_channels=in_channels).features
        self.classifier = nn.Sequential(
            nn.Conv2d(512, fc, 7, padding=3),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Conv2d(fc, fc, 1),
            nn.ReLU(inplace=True),
            nn.Dropout(),
        )

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(N, C, H, W) -> pool3 (N, 256, H/8, W/8), pool4 (N, 512, H/16, W/16), fc7 (N, fc, H/32, W/32)."""
        x, pools = images, []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(x)
        return pools[2], pools[3], self.classifier(x)


class Enlarge(nn.Module):
    """(N, K, H, W) -> (N, K, factor H, factor W): bilinear, or a transposed convolution that begins as just that.

    mixed   the transposed convolution may mix classes (K x K filters); otherwise each class has one filter

    The border is repeated before the transposed convolution: beyond it would be zeros, and scores would fade there. (The
    paper's padding of 100 pixels puts real scores there.)
    """

    def __init__(self, classes: int, factor: int, *, learnt: bool, mixed: bool) -> None:
        super().__init__()
        self.factor = factor
        self.transposed: nn.ConvTranspose2d | None = None
        if learnt:
            self.transposed = nn.ConvTranspose2d(
                classes,
                classes,
                2 * factor,
                stride=factor,
                padding=factor + factor // 2,  # what the repeated border adds, and half of what the filter does
                groups=1 if mixed else classes,
                bias=False,
            )
            draw_bilinear(self.transposed)

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        if self.transposed is None:
            return F.interpolate(scores, scale_factor=self.factor, mode="bilinear", align_corners=False)
        for axis in (2, 3):  # F.pad's backward pass cannot be compiled by torch 2.15
            last = scores.shape[axis] - 1
            scores = torch.cat([scores.narrow(axis, 0, 1), scores, scores.narrow(axis, last, 1)], dim=axis)
        enlarged: torch.Tensor = self.transposed(scores)
        return enlarged


def draw_bilinear(transposed: nn.ConvTranspose2d) -> None:
    """Make a transposed convolution of kernel 2r and stride r (r even) interpolate each channel bilinearly."""
    factor = transposed.stride[0]
    offsets = torch.arange(2 * factor, dtype=torch.float32) - (factor - 0.5)
    ramp = 1 - offsets.abs() / factor
    with torch.no_grad():
        transposed.weight.zero_()
        inputs = torch.arange(transposed.in_channels)
        outputs = inputs if transposed.groups == 1 else torch.zeros_like(inputs)
        transposed.weight[inputs, outputs] = ramp[:, None] * ramp[None, :]


class Fcn(SegmentationModel):
    """Scores of the coarsest feature, enlarged twice and added to those of finer ones, down to `finest` (8, 16 or 32).

    As in the paper, the steps of two are K x K filters that may mix the classes, while the last one, which the paper
    keeps fixed, has one filter a class.
    """

    stride = 32
    encoder: FcnEncoder

    def __init__(self, spec: ModelSpec, finest: int, *, learnt: bool = True, fc: int = 4096) -> None:
        super().__init__()
        self.encoder = FcnEncoder(spec.in_channels, fc)
        self.head = nn.Conv2d(fc, spec.classes, 1)
        channels = _SKIP_CHANNELS[finest]
        self.skips = nn.ModuleList(nn.Conv2d(before, spec.classes, 1) for before in channels)
        self.doublings = nn.ModuleList(Enlarge(spec.classes, 2, learnt=learnt, mixed=True) for _ in channels)
        self.enlarge = Enlarge(spec.classes, finest, learnt=learnt, mixed=False)
        initialise(self)
        for layer in (self.head, *self.skips):
            assert isinstance(layer, nn.Conv2d)
            undecide(layer)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        pool3, pool4, fc7 = self.encoder(images)
        scores = self.head(fc7)
        for double, skip, pool in zip(self.doublings, self.skips, (pool4, pool3), strict=False):
            scores = double(scores) + skip(pool)
        logits: torch.Tensor = self.enlarge(scores)
        return logits


def build(spec: ModelSpec, finest: int, upsampling: str = "learnt", fc: int = 4096) -> Fcn:
    """Build with random weights.

    finest      stride of the finest feature that is scored: 8, 16 or 32
    upsampling  "learnt" or "fixed" (bilinear)
    fc          channels of the two convolutions that were VGG16's fully connected layers; the paper's are 4096
    """
    return Fcn(spec, finest, learnt=upsampling == "learnt", fc=fc)
