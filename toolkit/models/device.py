"""Where to compute, and in which precision."""

import contextlib
from dataclasses import dataclass

import torch

from toolkit.errors import UsageError


@dataclass(frozen=True)
class Device:
    """A torch device and the type that autocast uses on it, None for full precision."""

    handle: torch.device
    amp: torch.dtype | None

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Run the block in the chosen precision."""
        if self.amp is None:
            return contextlib.nullcontext()
        return torch.autocast(self.handle.type, self.amp)

    @property
    def memory_format(self) -> torch.memory_format:
        """Channels last where convolutions are quicker so."""
        return torch.channels_last if self.handle.type in ("cpu", "cuda") else torch.contiguous_format

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.handle) if self.handle.type == "cuda" else self.handle.type
        precision = {None: "32-bit", torch.bfloat16: "bfloat16", torch.float16: "float16"}[self.amp]
        return f"{name}, {precision}"


def choose_device(name: str = "auto", amp: bool | None = None) -> Device:
    """`auto` takes CUDA, then MPS, then the CPU. amp None: 16 bits where the device is built for them.

    Raises UsageError if the device is not there, naming what is.
    """
    present = ["cpu"]
    if torch.backends.mps.is_available():
        present.insert(0, "mps")
    if torch.cuda.is_available():
        present[:0] = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    chosen = present[0] if name == "auto" else f"cuda:{name}" if name.isdecimal() else name
    if chosen not in present:
        raise UsageError(f"device: '{name}' is not on this machine. There is: {', '.join(present)}.")
    device = torch.device(chosen)
    return Device(device, None if amp is False else _amp_type(device, asked=amp is True))


def _amp_type(device: torch.device, *, asked: bool) -> torch.dtype | None:
    """bfloat16 where it is computed in hardware; float16 on older GPUs; elsewhere only if it was asked for."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if device.type == "cpu":
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if fast or asked else None
    return torch.float16 if asked else None


def is_out_of_memory(error: BaseException) -> bool:
    """Of a GPU, or, which torch reports as any other failure, of the machine."""
    return (
        isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error) or "can't allocate" in str(error)
    )
