"""Parts that several models are made of."""

from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from toolkit.errors import UsageError

M = TypeVar("M", bound=nn.Module)


class ConvNormReLU(nn.Sequential):
    """Convolution without a bias, BatchNorm, ReLU; padded, so that stride 1 keeps the size."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(
                in_channels, out_channels, kernel, stride, dilation * (kernel // 2), dilation=dilation, bias=False
            ),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class PooledBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm that uses its running statistics where there is one value per channel: none can be computed of it.

    That is the case after global pooling in a batch of one, which torch refuses.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self.training and input.shape[0] * input.shape[2] * input.shape[3] == 1:
            assert self.running_mean is not None and self.running_var is not None
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


def allow_batches_of_one(module: nn.Module) -> None:
    """Let every BatchNorm2d of a module bear a single value per channel; names and weights stay as they are."""
    for part in module.modules():
        if type(part) is nn.BatchNorm2d:
            part.__class__ = PooledBatchNorm2d


def with_shared_statistics(model: M) -> M:
    """The model with SyncBatchNorm in place of BatchNorm2d: statistics over the images of all processes.

    Raises UsageError for a model with BatchNorm of another kind, of which torch would keep the statistics only: timm's
    has an activation in it.
    """
    for part in model.modules():
        if isinstance(part, _BatchNorm) and type(part) not in (nn.BatchNorm2d, PooledBatchNorm2d):
            raise UsageError(f"sync_bn: this model has {type(part).__name__}, which cannot be shared. Leave it out.")
    shared: M = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return shared


def enlarge(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(N, C, h, w) -> (N, C, H, W) with the rows and columns of `like`, bilinear."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
