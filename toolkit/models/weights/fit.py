"""Which tensors of a file belong to which of a model, by name and shape."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch

COUNTER = "num_batches_tracked"
"""BatchNorm's own count, which old files lack and which no result depends on: it is neither needed nor counted."""

Shape = tuple[int, ...]
Split = Callable[[str], tuple[str, str]]
"""A file's name -> (what it begins with, what it is looked up by). Only names of one beginning are used together."""


@dataclass
class Fit:
    """What a file has for a model.

    tensors     by the model's names, in its shapes
    misshapen   the model's names that are in the file in another shape: (the model's, the file's)
    used        the file's names that are in `tensors`
    notes       what was done to make tensors fit
    """

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    misshapen: dict[str, tuple[Shape, Shape]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    notes: tuple[str, ...] = ()

    def counted(self) -> int:
        """Tensors without BatchNorm's counts."""
        return len(countable(self.tensors))


def countable(names: Iterable[str]) -> list[str]:
    """The names without BatchNorm's counts."""
    return [name for name in names if not name.endswith(COUNTER)]


def best_fit(own: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor], split: Split) -> Fit:
    """The fit of most tensors: with the file's names as they are, or with those of one beginning."""
    by_short = {split(key)[1]: key for key in own}
    groups: dict[str, dict[str, str]] = {}
    for key in given:
        beginning, rest = split(key)
        if rest in by_short:
            groups.setdefault(beginning, {}).setdefault(by_short[rest], key)
    as_they_are = {key: key for key in own if key in given}
    fits = [_fit(own, given, names) for names in (as_they_are, *groups.values())]
    return max(fits, key=Fit.counted)


def strip(key: str, beginnings: tuple[str, ...]) -> tuple[str, str]:
    """A name's beginning, made of any of those given, and its rest."""
    rest = key
    while found := next((beginning for beginning in beginnings if rest.startswith(beginning)), ""):
        rest = rest[len(found) :]
    return key[: len(key) - len(rest)], rest


def _fit(own: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor], names: Mapping[str, str]) -> Fit:
    fit = Fit()
    channels = _input_channels(own, given, names)
    for target in own:
        if target not in names:
            continue
        like, value = own[target], given[names[target]]
        fitted = _fitted(like, value, channels)
        if fitted is None:
            fit.misshapen[target] = (tuple(like.shape), tuple(value.shape))
            continue
        fit.tensors[target] = fitted
        fit.used.add(names[target])
    if channels is not None and any(
        value is not given[names[key]] for key, value in fit.tensors.items() if value.ndim == 4
    ):
        before, after = channels
        how = "summed over them" if after == 1 else f"repeated and scaled by {before}/{after}"
        fit.notes = (f"first convolution: made for {before} input channels, {how} for {after}",)
    return fit


def _input_channels(
    own: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor], names: Mapping[str, str]
) -> tuple[int, int] | None:
    """(the file's, the model's) number of input channels where they differ: those of the first convolution."""
    first = next((key for key in own if own[key].ndim == 4), None)
    if first is None or first not in names:
        return None
    like, value = own[first], given[names[first]]
    return (value.shape[1], like.shape[1]) if _differ_in_channels_only(like, value) else None


def _differ_in_channels_only(like: torch.Tensor, value: torch.Tensor) -> bool:
    a, b = like.shape, value.shape
    return len(a) == len(b) == 4 and a[0] == b[0] and a[2:] == b[2:] and a[1] != b[1] and b[1] > 0


def _fitted(like: torch.Tensor, value: torch.Tensor, channels: tuple[int, int] | None) -> torch.Tensor | None:
    if like.is_floating_point() != value.is_floating_point():
        return None
    if like.shape == value.shape:
        return value
    if like.ndim == 4 and value.ndim == 2 and value.shape == (like.shape[0], like[0].numel()):
        return value.reshape(like.shape)  # a fully connected layer, made a convolution (arXiv:1411.4038)
    if _differ_in_channels_only(like, value) and (value.shape[1], like.shape[1]) == channels:
        return _adapted(value, like.shape[1])
    return None


def _adapted(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """(O, I, H, W) -> (O, channels, H, W) that answers as strongly: summed for one, else repeated and rescaled."""
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    before = weight.shape[1]
    return weight[:, torch.arange(channels) % before] * (before / channels)
