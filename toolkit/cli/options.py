"""Options that several commands share, and those made from `TrainConfig`: help, YAML and Python cannot differ."""

import typing
from collections.abc import Callable
from dataclasses import Field, fields
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.runs.config import TrainConfig, default_text
from toolkit.voc.layout import DEFAULT_ROOT

Dataset = Annotated[
    Path | None,
    typer.Argument(help=f"Dataset in VOC layout. [default: {DEFAULT_ROOT.as_posix()}]", show_default=False),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", "-j", help="Processes. [default: as many as pay]", show_default=False, min=0),
]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code", help="Import a model of one's own (py:MODULE:CALLABLE) that a file names; trust it first."
    ),
]

_NOT_OPTIONS = ("dataset",)


def with_train_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, in place of its `**options`, one option for each field of TrainConfig.

    Options that were not typed are None, so that a YAML file can hold them.
    """
    hints = typing.get_type_hints(TrainConfig)
    own = [p for p in signature(command).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
    made = [_parameter(option, hints[option.name]) for option in fields(TrainConfig) if option.name not in _NOT_OPTIONS]
    command.__signature__ = signature(command).replace(parameters=[*own, *made])  # type: ignore[attr-defined]
    command.__annotations__ |= {p.name: p.annotation for p in made}
    return command


def _parameter(option: Field[Any], hint: Any) -> Parameter:
    kinds = [k for k in (typing.get_args(hint) or (hint,)) if k is not type(None)]
    kind = kinds[0] if len(kinds) == 1 else str  # a number or a word: TrainConfig tells them apart
    dashed = option.name.replace("_", "-")
    names = option.metadata["flag"].split(",") if option.metadata["flag"] else [f"--{dashed}"]
    if kind is bool:
        names = [f"--{dashed}/--no-{dashed}"]
    default = default_text(option.name)
    text = option.metadata["help"] + (f" [default: {default}]" if default is not None else "")
    info = typer.Option(*names, help=text, show_default=False)
    return Parameter(option.name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, info])
