"""What every model promises."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ModelSpec:
    """What a model is built from; saved in the checkpoint.

    classes      K
    in_channels  C of the input
    width        channels at full size, for models that have this choice; None: the model's own
    upscale      r: the logits have r times as many rows and columns as the image, for models that have this choice
    """

    classes: int
    in_channels: int = 3
    width: int | None = None
    upscale: int = 1


class SegmentationModel(nn.Module):
    """float (N, C, H, W) of any size -> logits (N, K, r H, r W), with r = 1 but for models with `upscale`.

    Subclasses set `stride`, `encoder` and `decode`. Inputs whose sides are no multiple of the stride are padded
    with zeros (the mean colour after normalising) at the right and bottom, and the logits are cut back.

    Deep supervision (Lee et al. 2015, arXiv:1409.5185): a model with side outputs gives them in `decode_all` and the
    weight of each one's loss in `side_weights`; the weight of the logits themselves is 1.
    """

    stride: int = 1
    upscale: int = 1
    side_weights: tuple[float, ...] = ()
    encoder: nn.Module

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        """Logits for sides that are multiples of the stride."""
        raise NotImplementedError

    def decode_all(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits, then those of each side output, all (N, K, r H, r W), for sides that are multiples of the stride."""
        return (self.decode(images),)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._cut(self.decode(self._padded(images)), images)

    def all_logits(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What is learnt from: the logits, then those of each side output, all (N, K, r H, r W)."""
        return tuple(self._cut(logits, images) for logits in self.decode_all(self._padded(images)))

    def _padded(self, images: torch.Tensor) -> torch.Tensor:
        H, W = images.shape[-2:]
        padding = (0, -W % self.stride, 0, -H % self.stride)
        return F.pad(images, padding) if any(padding) else images

    def _cut(self, logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        H, W = images.shape[-2:]
        return logits[..., : self.upscale * H, : self.upscale * W]

    def freeze_encoder(self, frozen: bool) -> None:
        """Stop or resume learning in the encoder; frozen, its BatchNorm statistics stand still too."""
        self.encoder.requires_grad_(not frozen)
        self.encoder.train(self.training and not frozen)


def initialise(module: nn.Module) -> None:
    """Draw convolutions for layers followed by ReLU (He et al. 2015, arXiv:1502.01852), in the module's own order."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def undecide(head: nn.Conv2d) -> None:
    """Make the logits of an untrained head small: the first loss is log(K), not one that throws the first steps off."""
    nn.init.normal_(head.weight, std=0.01)
    if head.bias is not None:
        nn.init.zeros_(head.bias)
