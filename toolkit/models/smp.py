"""Any architecture and encoder of segmentation-models-pytorch (MIT licence, extra `smp`), as `smp:ARCH/ENCODER`.

Parameters have the names of that library: `encoder.*`, `decoder.*`, `segmentation_head.*`.
"""

import warnings
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.errors import UsageError, did_you_mean, unknown_name
from toolkit.models.base import ModelSpec, SegmentationModel, undecide
from toolkit.models.blocks import PooledBatchNorm2d, allow_batches_of_one
from toolkit.models.smp_probe import Probe, leave_out

try:
    import segmentation_models_pytorch
    import timm
except ModuleNotFoundError as error:
    raise UsageError(f"smp: models need {error.name}: pip install 'seg-toolkit[smp]'") from None

ARCHITECTURES: dict[str, Any] = segmentation_models_pytorch.MODEL_ARCHITECTURES_MAPPING
ENCODERS: dict[str, Any] = segmentation_models_pytorch.encoders.encoders


class SmpModel(SegmentationModel):
    """An architecture of the library behind the contract.

    Images with sides below `smallest` are padded to it: the least that the architecture takes. `idle` are parameters
    that the encoder computes with and the decoder does not look at; they are never learnt.
    """

    def __init__(self, net: Any, stride: int, smallest: int, idle: list[str]) -> None:
        super().__init__()
        self.stride, self.smallest, self._idle = stride, smallest, idle
        self.encoder, self.decoder, self.segmentation_head = net.encoder, net.decoder, net.segmentation_head
        undecide([part for part in self.segmentation_head.modules() if isinstance(part, nn.Conv2d)][-1])
        allow_batches_of_one(self)
        norms = [part for part in self.modules() if isinstance(part, nn.BatchNorm2d)]
        if not all(isinstance(part, PooledBatchNorm2d) for part in norms):
            self.smallest = max(smallest, 2 * stride)  # timm's own BatchNorm cannot learn from a single value
        self.freeze_encoder(False)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        features = self.encoder(images)
        x = self.decoder(*features) if isinstance(features, tuple) else self.decoder(features)
        logits: torch.Tensor = self.segmentation_head(x)
        return logits

    def freeze_encoder(self, frozen: bool) -> None:
        super().freeze_encoder(frozen)
        for name in self._idle:
            self.get_parameter(name).requires_grad_(False)

    def _padded(self, images: torch.Tensor) -> torch.Tensor:
        H, W = images.shape[-2:]
        down, right = (max(self.smallest, side + -side % self.stride) - side for side in (H, W))
        return F.pad(images, (0, right, 0, down)) if down or right else images


def build(spec: ModelSpec, architecture: str, encoder: str) -> SmpModel:
    """Build with random weights.

    architecture   the library's name in any case; `unet++` and `deeplabv3+` are understood
    encoder        the library's name, or timm's after `tu-`, as in `tu-convnext_tiny`

    Raises UsageError for an unknown name, for two that do not go together, and for encoders of one image size only.
    """
    kind, name = _architecture(architecture), f"smp:{architecture}/{encoder}"
    _check_encoder(encoder)
    options = {"dynamic_img_size": True} if kind == "dpt" else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net = ARCHITECTURES[kind](
                encoder_name=encoder,
                encoder_weights=None,
                in_channels=spec.in_channels,
                classes=spec.classes,
                **options,
            )
    except Exception as error:  # the library and timm raise whatever they meet
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"model: {name} cannot be built: {reason[:200]} Choose another encoder.") from None
    sizes = Probe(net, spec.in_channels, spec.classes).sizes()
    if sizes is None:
        raise UsageError(
            f"model: {name} takes images of one size only, and any size is needed here. Choose another encoder."
        )
    model = SmpModel(net, *sizes, _drop_idle(net, spec, 2 * sizes[1]))
    model.encoder.imagenet = _imagenet(encoder)  # type: ignore[assignment]
    return model


def _architecture(text: str) -> str:
    kind = text.lower().replace("+", "plus").replace("-", "").replace("_", "")
    if kind not in ARCHITECTURES:
        raise unknown_name("smp architecture", text, ARCHITECTURES)
    return kind


def _check_encoder(text: str) -> None:
    known = [*ENCODERS, *(f"tu-{name}" for name in (*timm.list_models(), *timm.list_pretrained()))]
    if text not in known:
        raise UsageError(
            f"smp encoder '{text}' is not known.{did_you_mean(text, known)} Known: those of segmentation-models-pytorch, "
            "as resnet34 or mit_b0, and timm's after 'tu-', as tu-convnext_tiny."
        )


def _drop_idle(net: Any, spec: ModelSpec, side: int) -> list[str]:
    """Leave out what the logits are computed without; the names of parameters that must stay although they are idle."""
    for name in Probe(net, spec.in_channels, spec.classes).idle_modules(side):
        leave_out(net, name)
    return Probe(net, spec.in_channels, spec.classes).idle_parameters(side)


def _imagenet(encoder: str) -> str:
    if encoder.startswith("tu-"):
        has_weights = timm.is_model_pretrained(encoder.removeprefix("tu-"))
    else:
        has_weights = "imagenet" in ENCODERS[encoder]["pretrained_settings"]
    return f"smp:{encoder}" if has_weights else ""
