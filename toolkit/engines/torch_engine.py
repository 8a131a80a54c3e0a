"""Eager PyTorch: every model, on a CPU or a GPU.

In 16 bits, the weights of convolutions and linear layers are kept in 16 bits and autocast does the rest. Autocast alone
would convert them again at each call; everything converted would take precision from the normalising layers too.
"""

import torch
from torch import nn

from toolkit.engines.base import Engine, ModelCard
from toolkit.engines.precision import settle_precision
from toolkit.models.base import SegmentationModel
from toolkit.models.device import Device, choose_device

_CONVERTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)
_FOREIGN = ("py:", "smp:")
"""Models whose code may switch autocast off for a part; their weights stay in fp32."""

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine(Engine):
    """A model in eager PyTorch. It owns the model, whose weights it converts: others keep their own.

    precision   "auto": 16 bits where the device computes them in hardware, else fp32

    Raises UsageError if the device is not there or cannot compute in this precision.
    """

    name = "torch"

    def __init__(
        self, model: SegmentationModel, card: ModelCard, *, precision: str = "auto", device: str = "auto"
    ) -> None:
        place, self.precision = settle_device(device, precision)
        self.card = card
        self.device = place.handle
        self._place = place
        self._model = model.eval().requires_grad_(False)
        if place.amp is not None and not card.model.startswith(_FOREIGN):
            for module in self._model.modules():
                if type(module) in _CONVERTED:
                    module.to(place.amp)
        self._model.to(place.handle, memory_format=place.memory_format)  # type: ignore[call-overload]

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), self._place.autocast():
            batch = self.card.preprocess.normalise(images.to(self.device, non_blocking=True))
            logits: torch.Tensor = self._model(batch)
            return logits.float()

    def __str__(self) -> str:
        return f"torch, {self._place}"


def settle_device(device: str, precision: str) -> tuple[Device, str]:
    """Where PyTorch computes, and in which precision: "auto" takes 16 bits where the device has them in hardware.

    Raises UsageError if the device is not there or cannot do that.
    """
    place = choose_device(device)
    kind = place.handle.type
    default = {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[place.amp]
    others = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16", "fp16"), "mps": ("fp32", "fp16")}[kind]
    if kind == "cuda" and default == "fp16":
        others = ("fp32", "fp16")  # before Ampere
    possible = (default, *(name for name in others if name != default))
    way_out = "int8 needs an exported file: seg export --int8." if precision == "int8" else "Choose one of them."
    chosen = settle_precision(f"torch on {'a CPU' if kind == 'cpu' else place.handle}", precision, possible, way_out)
    return Device(place.handle, _TYPES.get(chosen)), chosen
