"""A line of the table of models, and how a model's name is read. Free of torch, as names are checked before it is needed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from toolkit.errors import CheckpointError, UsageError
from toolkit.parameters import Parameter, Value, parse_parameters
from toolkit.registry import Entry, Registry

CLASSES, SIZE = 21, 512
"""For which the table of models says its numbers."""


@dataclass(frozen=True)
class ModelEntry(Entry):
    """One model of the table.

    source       paper or text that it comes from
    given        what its builder is told beside the spec
    options      what users may choose, as in `fcn8s:upsampling=fixed`
    has_width, has_upscale   whether ModelSpec.width and .upscale may be chosen
    parameters   number of weights at 21 classes
    gflops       10**9 floating point operations (a multiplication and an addition are two) for 512x512 pixels, 21 classes
    stride       inputs are padded to a multiple of this many pixels

    The numbers are checked against the models by the tests.
    """

    source: str = ""
    given: Mapping[str, Value] = field(default_factory=dict)
    options: tuple[Parameter, ...] = ()
    has_width: bool = False
    has_upscale: bool = False
    parameters: int = 0
    gflops: float = 0.0
    stride: int = 1


@dataclass(frozen=True)
class ChosenModel:
    """A model that was asked for by name, and all that its builder is told beside the spec."""

    entry: ModelEntry
    given: dict[str, Value]


def refuse_what_it_lacks(name: str, entry: ModelEntry, width: int | None, upscale: int) -> None:
    """Raise UsageError for a width or an upscale where the model has no choice of it."""
    if width is not None and not entry.has_width:
        raise UsageError(f"width: {name} has a fixed width. Leave it out, or use --model unet.")
    if upscale != 1 and not entry.has_upscale:
        raise UsageError(f"upscale: {name} has masks of the image's size. Leave it out, or use --model unet.")


def refuse_own_code(name: str) -> None:
    """Raise CheckpointError if a model that a file names is code of the user's own.

    Nothing that a file names is imported unasked: the file may come from elsewhere.
    """
    if name.strip().startswith("py:"):
        raise CheckpointError(
            f"its model is code of your own, {name}, which would be imported and run. If you trust it: "
            "--allow-code (in Python allow_code=True)."
        )


SMP = ModelEntry("toolkit.models.smp:build", "any architecture and encoder of segmentation-models-pytorch")
OWN = ModelEntry("toolkit.models.own:build", "your own: a function or class of a Python module")

DOORS = {"smp:ARCH/ENCODER": SMP, "py:MODULE:CALLABLE": OWN}
"""What is not in the table, and how it is written."""

_SMP = re.compile(r"smp:(?P<architecture>[A-Za-z0-9_+-]+)/(?P<encoder>[A-Za-z0-9_.-]+)")
_OWN = re.compile(r"py:(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*(\.[^\W\d]\w*)*)")


def choose_model(text: str, table: Registry[ModelEntry]) -> ChosenModel:
    """`name`, `name:parameter=value,...`, `smp:ARCH/ENCODER` or `py:module:callable`. Nothing is imported.

    Raises UsageError for what is not known, with the closest known name.
    """
    name, colon, rest = text.partition(":")
    name = name.strip()
    if colon and name in ("smp", "py"):
        match = (_SMP if name == "smp" else _OWN).fullmatch(text.strip())
        if match is None:
            wanted = (
                "smp:ARCH/ENCODER, as in smp:unet/resnet34"
                if name == "smp"
                else "py:module:callable, as in py:mynet:build"
            )
            raise UsageError(f"model: {wanted}, is needed, got '{text}'.")
        return ChosenModel(SMP if name == "smp" else OWN, {**match.groupdict()})
    entry = table.entry(name)
    given = parse_parameters("model", name, rest, entry.options) if colon else {}
    return ChosenModel(entry, {**entry.given, **given})
