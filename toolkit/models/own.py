"""`py:module:callable`: a model of the user's own, found as Python finds modules, then in the working folder.

The callable, a function or a class, is given what its parameters are called: `spec` (a ModelSpec), or the number of
classes (`classes`, `num_classes`, `n_classes`, `n_class`) and, if it wants them, the input channels (`in_channels`,
`channels`, `n_channels`, `in_chans`). It gives a SegmentationModel, or any module from float (N, C, H, W) to logits
(N, K, h, w), which are enlarged bilinearly to the image's size; also a tuple, list or dict of them, of which the first
is meant.
"""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.parameter import UninitializedParameter

from toolkit.errors import RunError, UsageError
from toolkit.models.base import ModelSpec, SegmentationModel
from toolkit.models.device import is_out_of_memory

_NAMES: dict[str, Callable[[ModelSpec], Any]] = {
    "spec": lambda spec: spec,
    **dict.fromkeys(("classes", "num_classes", "n_classes", "n_class"), lambda spec: spec.classes),
    **dict.fromkeys(("in_channels", "channels", "n_channels", "in_chans"), lambda spec: spec.in_channels),
}


class ForeignModel(SegmentationModel):
    """Any module behind the contract. Its `encoder` or `backbone`, if it has one, is what freezing stops; inputs are
    padded to a multiple of its `stride`, if that is a whole number."""

    def __init__(self, module: nn.Module, classes: int, name: str) -> None:
        super().__init__()
        self.module = module
        self._classes, self._name = classes, name
        stride = getattr(module, "stride", 1)
        self.stride = stride if type(stride) is int and stride > 0 else 1

    @property
    def encoder(self) -> nn.Module:  # type: ignore[override]
        for name in ("encoder", "backbone"):
            part = getattr(self.module, name, None)
            if isinstance(part, nn.Module):
                return part
        return nn.Identity()

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        try:
            output: Any = self.module(images)
        except Exception as error:
            if isinstance(error, RunError | torch.OutOfMemoryError) or is_out_of_memory(error):
                raise
            frame = traceback.extract_tb(error.__traceback__)[-1]
            shape = tuple(images.shape)
            raise RunError(
                f"{self._name}: its forward failed for {shape}, {frame.filename}:{frame.lineno}: "
                f"{type(error).__name__}: {_line(error)}"
            ) from error
        if isinstance(output, dict):
            output = output["out"] if "out" in output else next(iter(output.values()))
        if isinstance(output, tuple | list):
            output = output[0]
        wanted = (images.shape[0], self._classes)
        if not isinstance(output, torch.Tensor) or output.ndim != 4 or tuple(output.shape[:2]) != wanted:
            got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise RunError(f"{self._name}: logits ({wanted[0]}, {wanted[1]}, H, W) are needed, got {got}.")
        if output.shape[2:] != images.shape[2:]:
            output = F.interpolate(output, size=images.shape[2:], mode="bilinear", align_corners=False)
        logits: torch.Tensor = output
        return logits


def build(spec: ModelSpec, module: str, name: str) -> SegmentationModel:
    """Import the module and call what is named. Raises UsageError if there is no such thing or it gives no module."""
    place = f"py:{module}:{name}"
    maker = _find(module, name, place)
    try:
        model = maker(**_arguments(maker, spec, place))
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"model: {place} failed: {type(error).__name__}: {_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise UsageError(f"model: {place} gave {type(model).__name__}, a torch.nn.Module is needed.")
    if any(isinstance(parameter, UninitializedParameter) for parameter in model.parameters()):
        raise UsageError(f"model: {place} has lazy layers. Give their sizes.")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError(f"model: {place} has no parameters that can learn.")
    return model if isinstance(model, SegmentationModel) else ForeignModel(model, spec.classes, place)


def _find(module: str, name: str, place: str) -> Callable[..., Any]:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that no file here takes the place of a library
    importlib.invalidate_caches()
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise UsageError(f"model: {place}: {module} imports {error.name}, which is not installed.") from error
        raise UsageError(
            f"model: {place}: there is no module {module}. It is looked for among the installed ones and in {here}."
        ) from None
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"model: {place}: importing {module} failed: {type(error).__name__}: {_line(error)}"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"model: {place}: {module} has nothing called {name}.")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"model: {place} is no function or class.")
    return found  # type: ignore[no-any-return]


def _arguments(maker: Callable[..., Any], spec: ModelSpec, place: str) -> dict[str, Any]:
    given, unknown = {}, []
    for parameter in inspect.signature(maker).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in _NAMES and parameter.kind is not parameter.POSITIONAL_ONLY:
            given[parameter.name] = _NAMES[parameter.name](spec)
        elif parameter.default is parameter.empty:
            unknown.append(parameter.name)
    if unknown:
        raise UsageError(
            f"model: {place}: nothing is known to give as {', '.join(unknown)}. Name parameters spec, or classes and "
            "in_channels, and give the others defaults."
        )
    return given


def _line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or "no reason given")[:300]
