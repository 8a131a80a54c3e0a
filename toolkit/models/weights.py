"""Weights for an encoder: from torchvision's hub cache, or from a file."""

import contextlib
import importlib
import io
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from toolkit.errors import CheckpointError
from toolkit.models.base import SegmentationModel

_WRAPPERS = ("state_dict", "model", "model_state_dict")
_PREFIXES = ("module.", "_orig_mod.", "encoder.", "vgg.", "backbone.", "features.")

_SECONDS_WITHOUT_A_BYTE = 20.0


@dataclass(frozen=True)
class LoadedWeights:
    """What a file gave: how many of the encoder's tensors were filled, of how many, and what did not fit."""

    source: str
    matched: int
    expected: int
    left_over: tuple[str, ...]


def imagenet_of(model: SegmentationModel) -> str:
    """The name of the ImageNet weights of a model's encoder, torchvision's or `timm:NAME` or `smp:ENCODER`; empty: none."""
    name: str = getattr(model.encoder, "imagenet", "")
    return name


def imagenet_file(name: str) -> Path:
    """Where torch keeps torchvision's weights of this name once they are downloaded (below TORCH_HOME)."""
    return Path(torch.hub.get_dir(), "checkpoints", _torchvision(name).url.rpartition("/")[2])


def _torchvision(name: str) -> Any:
    """Torchvision's entry of the weights. It takes seconds to import, and a run that goes on needs none of it."""
    return importlib.import_module("torchvision.models").get_weight(name)


def load_imagenet(model: SegmentationModel) -> LoadedWeights:
    """Fill the encoder with torchvision's ImageNet weights, downloading them unless they are in torch's cache.

    Raises CheckpointError with the file to fetch and where to put it if they cannot be had.
    """
    name = imagenet_of(model)
    entry, file = _torchvision(name), imagenet_file(name)
    was_there, before = file.is_file(), socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS_WITHOUT_A_BYTE)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # torch's hub announces downloads on standard output
            state = entry.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except Exception as error:  # torch raises whatever the network, the disk or its parser meet
        if was_there:
            raise CheckpointError(
                f"{file}: damaged ({_short(error)}). Delete it, so that it is downloaded again."
            ) from None
        raise CheckpointError(
            f"ImageNet weights for {name} cannot be downloaded ({_short(error)}). On a machine with a network get "
            f"{entry.url} and put it at {file}, or use --encoder-weights FILE."
        ) from None
    finally:
        socket.setdefaulttimeout(before)
    return _fill(model, dict(state), f"ImageNet ({entry.url.rpartition('/')[2]})")


def load_file_weights(model: SegmentationModel, path: Path) -> LoadedWeights:
    """Fill the encoder from a .safetensors file or a torch file (read without unpickling objects).

    torchvision's names (`features.0.weight`), bare ones (`0.weight`) and the tutorials' (`vgg.features.0.weight`)
    are understood. Raises CheckpointError if the file cannot be read or does not fill the whole encoder.
    """
    return _fill(model, read_state(path), str(path))


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a flat dict of tensors. Raises CheckpointError naming the file."""
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file of weights.")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its parser meets: pickle, zip, struct and runtime errors
        kind = "a damaged file" if isinstance(error, SafetensorError) else "not a torch file of plain weights"
        raise CheckpointError(f"{path}: {kind} ({_short(error)}).") from None
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds no weights by name.")
    return {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}


def _fill(model: SegmentationModel, state: dict[str, torch.Tensor], source: str) -> LoadedWeights:
    own = model.encoder.state_dict()
    by_short_name = {_short_key(key): key for key in own}
    fitting, left_over = {}, []
    for key, value in state.items():
        target = by_short_name.get(_short_key(key))
        if target is not None and own[target].shape == value.shape:
            fitting[target] = value
        else:
            left_over.append(key)
    if len(fitting) < len(own):
        raise CheckpointError(
            f"{source}: {len(fitting) or 'none'} of its {len(state)} tensors fit this encoder, which needs {len(own)}. "
            "The file belongs to another model."
        )
    model.encoder.load_state_dict(fitting, strict=False)
    return LoadedWeights(source, len(fitting), len(own), tuple(left_over))


def _short_key(key: str) -> str:
    stripped = True
    while stripped:
        stripped = False
        for prefix in _PREFIXES:
            if key.startswith(prefix):
                key, stripped = key[len(prefix) :], True
    return key


def _short(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    text = str(reason).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:160]
