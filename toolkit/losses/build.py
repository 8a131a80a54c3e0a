"""From a text such as `focal:gamma=3` to a loss. Texts are checked without importing torch."""

from typing import TYPE_CHECKING

from toolkit.errors import UsageError
from toolkit.losses import LOSSES
from toolkit.parameters import Number, Value, parse_parameters

if TYPE_CHECKING:
    import torch

    from toolkit.losses.base import Loss


_SMOOTHING = Number("smoothing", 0.0, 0.0, 0.99)

PARAMETERS: dict[str, tuple[Number, ...]] = {
    "ce": (_SMOOTHING,),
    "bce": (_SMOOTHING,),
    "focal": (Number("gamma", 2.0, 0.0, 10.0),),
    "ohem": (Number("threshold", 0.7, 0.01, 1.0), Number("share", 1 / 16, 0.0001, 1.0)),
    "dice": (Number("smooth", 0.0, 0.0, 1e6),),
    "dice-squared": (Number("smooth", 1.0, 0.0, 1e6),),
    "ce-dice": (Number("dice", 1.0, 0.0, 100.0), _SMOOTHING),
    "tversky": (Number("alpha", 0.3, 0.0, 100.0), Number("beta", 0.7, 0.01, 100.0)),
}
"""Of the losses that take any: the keyword arguments of their modules, with the same defaults."""

CLASSES = {"bce": 2}
"""Of the losses that are not for any number of classes: the number."""


def parse_loss(text: str) -> tuple[str, dict[str, Value]]:
    """`name` or `name:parameter=value,...` -> the name and the parameters that are given.

    Raises UsageError for an unknown name or parameter, with the closest known one, and for a value out of range.
    """
    name, colon, rest = text.partition(":")
    name = name.strip()
    LOSSES.entry(name)
    given = parse_parameters("loss", name, rest, PARAMETERS.get(name, ())) if colon else {}
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
