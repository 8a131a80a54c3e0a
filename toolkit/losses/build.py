"""From a text such as `focal:gamma=3` to a loss. Texts are checked without importing torch."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.errors import UsageError, did_you_mean
from toolkit.losses import LOSSES

if TYPE_CHECKING:
    import torch

    from toolkit.losses.base import Loss


@dataclass(frozen=True)
class Parameter:
    """A number that a loss takes, from `lowest` to `highest`."""

    name: str
    default: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.name} ({self.lowest:g} to {self.highest:g}, default {self.default:g})"


_SMOOTHING = Parameter("smoothing", 0.0, 0.0, 0.99)

PARAMETERS: dict[str, tuple[Parameter, ...]] = {
    "ce": (_SMOOTHING,),
    "bce": (_SMOOTHING,),
    "focal": (Parameter("gamma", 2.0, 0.0, 10.0),),
    "ohem": (Parameter("threshold", 0.7, 0.01, 1.0), Parameter("share", 1 / 16, 0.0001, 1.0)),
    "dice": (Parameter("smooth", 0.0, 0.0, 1e6),),
    "dice-squared": (Parameter("smooth", 1.0, 0.0, 1e6),),
    "ce-dice": (Parameter("dice", 1.0, 0.0, 100.0), _SMOOTHING),
    "tversky": (Parameter("alpha", 0.3, 0.0, 100.0), Parameter("beta", 0.7, 0.01, 100.0)),
}
"""Of the losses that take any: the keyword arguments of their modules, with the same defaults."""

CLASSES = {"bce": 2}
"""Of the losses that are not for any number of classes: the number."""


def parse_loss(text: str) -> tuple[str, dict[str, float]]:
    """`name` or `name:parameter=value,...` -> the name and the parameters that are given.

    Raises UsageError for an unknown name or parameter, with the closest known one, and for a value out of range.
    """
    name, colon, rest = text.partition(":")
    name = name.strip()
    LOSSES.entry(name)
    known = {parameter.name: parameter for parameter in PARAMETERS.get(name, ())}
    takes = f"{name} takes {', '.join(map(str, known.values())) or 'no parameters'}."
    given: dict[str, float] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise UsageError(f"loss: '{text}': after the colon, parameter=value is needed, got '{part}'. {takes}")
        if key not in known:
            raise UsageError(f"loss: '{key}' is not a parameter of {name}.{did_you_mean(key, known)} {takes}")
        if key in given:
            raise UsageError(f"loss: '{text}': {key} is there twice. Give it once.")
        given[key] = _number(value, known[key], name)
    return name, given


def build_loss(text: str, weights: "torch.Tensor | None", classes: int) -> "Loss":
    """The loss for `classes` classes; weights float32 (classes,) or None.

    Raises UsageError as parse_loss does, and for a loss that is not for so many classes.
    """
    name, given = parse_loss(text)
    if CLASSES.get(name, classes) != classes:
        raise UsageError(f"loss: {name} is for {CLASSES[name]} classes, got {classes}. Use ce.")
    loss: Loss = LOSSES.load(name)(weights, **given)
    return loss


def _number(value: str, parameter: Parameter, name: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not parameter.lowest <= number <= parameter.highest:
        allowed = f"a number from {parameter.lowest:g} to {parameter.highest:g}"
        raise UsageError(f"loss: {name}:{parameter.name}: {allowed} is needed, got '{value}'.")
    return number
