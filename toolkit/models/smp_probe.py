"""What a model of segmentation-models-pytorch needs and uses, found by trying it on torch's meta device, which computes nothing."""

import copy
from typing import Any

import torch
from torch import nn

STRIDES = (1, 2, 7)
"""Multiples of the encoder's stride: 2 for vision transformers under DPT, 7 for windows of 7x7."""

SIDES = (1, 2, 4, 8)
"""Multiples of the stride, for architectures that halve the coarsest feature further."""


class Probe:
    """A copy of a model without values, which can be run with any size in milliseconds."""

    def __init__(self, net: nn.Module, in_channels: int, classes: int) -> None:
        with torch.inference_mode(False):  # or a model built in that mode could not be asked for gradients
            self.twin: Any = copy.deepcopy(net).to("meta").eval()
        self.in_channels, self.classes = in_channels, classes

    def sizes(self) -> tuple[int, int] | None:
        """(stride, smallest side) of the images that the model takes; None: it takes no variety of sizes."""
        for strides in STRIDES:
            stride = strides * self.twin.encoder.output_stride
            for sides in SIDES:
                if self._takes(sides * stride, (sides + 1) * stride):
                    return stride, sides * stride
        return None

    def idle_modules(self, side: int) -> list[str]:
        """The outermost modules with parameters that the logits are computed without."""
        called: set[nn.Module] = set()
        hooks = [part.register_forward_pre_hook(lambda part, _: called.add(part)) for part in self.twin.modules()]
        idle = set(self.idle_parameters(side))
        for hook in hooks:
            hook.remove()
        found: list[str] = []
        for name, part in self.twin.named_modules():
            own = [f"{name}.{key}" for key, _ in part.named_parameters()]
            if (
                own
                and part not in called
                and idle.issuperset(own)
                and not name.startswith(tuple(f"{n}." for n in found))
            ):
                found.append(name)
        return found

    def idle_parameters(self, side: int) -> list[str]:
        """Parameters that the logits do not depend on."""
        names, parameters = zip(*self.twin.named_parameters(), strict=True)
        with torch.inference_mode(False), torch.enable_grad():
            gradients = torch.autograd.grad(self._logits(side, side).sum(), parameters, allow_unused=True)
        return [name for name, gradient in zip(names, gradients, strict=True) if gradient is None]

    def _takes(self, height: int, width: int) -> bool:
        try:
            with torch.no_grad():
                return bool(self._logits(height, width).shape == (1, self.classes, height, width))
        except Exception:  # each architecture and encoder has its own kind of complaint
            return False

    def _logits(self, height: int, width: int) -> torch.Tensor:
        logits: torch.Tensor = self.twin(torch.empty(1, self.in_channels, height, width, device="meta"))
        return logits


def leave_out(net: nn.Module, name: str) -> None:
    """Replace a module that is never called by one without parameters."""
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, nn.Identity())
