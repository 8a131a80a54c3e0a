"""What is exported, and the names of the files. Torch-free: refusals come before anything is loaded."""

import re
from collections.abc import Sequence
from pathlib import Path

from toolkit.engines import FORMATS
from toolkit.engines.naming import format_of, main_of
from toolkit.errors import CheckpointError, UsageError
from toolkit.exporting.int8 import INT8
from toolkit.exporting.options import ExportOptions
from toolkit.runs.folder import RunFolder

_FOLDER = "export"
_ONLY_FLOAT = ("ncnn",)
_WITH_HALVES = ("openvino", "ncnn")


def find_checkpoint(run: Path | str | None, weights: Path | str | None) -> Path:
    """The checkpoint's file: `weights`, or the best one of the run, or that of the newest run.

    Raises UsageError if both are named, DataError or CheckpointError if it is not there.
    """
    if run is not None and weights is not None:
        raise UsageError("run and weights both name a checkpoint. Give one of them.")
    if weights is not None:
        path = Path(weights)
        if path.is_dir():
            raise UsageError(f"{path}: is a folder. Give a run as RUN, a checkpoint file as --weights.")
        if not path.is_file():
            raise CheckpointError(f"{path}: there is no such checkpoint.")
        _require_checkpoint(path)
        return path
    if run is not None and Path(run).is_file():
        _require_checkpoint(Path(run))
    return RunFolder.best_of(run)


def _require_checkpoint(path: Path) -> None:
    main = main_of(path)
    kind = format_of(main if main is not None and main.is_file() else path)
    if kind is not None:
        raise UsageError(
            f"{path}: is a file of the format {kind}, already exported. A checkpoint is needed here: "
            "name that of the training, weights/best.safetensors in its run."
        )


def require_name(name: str | None) -> None:
    """Raise UsageError for a name that is none; None is one that the model gives."""
    if name is not None and (
        not name or Path(name).name != name or name.startswith(".") or "\\" in name or "\0" in name
    ):
        raise UsageError(f"name: the name of a file without its suffix is needed, got '{name}'.")


def require_formats(formats: Sequence[str], options: ExportOptions) -> tuple[str, ...]:
    """The formats, each once. Raises UsageError for none, an unknown one, or one that cannot hold this."""
    kinds = tuple(dict.fromkeys(formats))
    if not kinds:
        raise UsageError(f"format: name at least one: {', '.join(FORMATS)}.")
    for kind in kinds:
        FORMATS.entry(kind)
        able = {"int8": tuple(INT8), "fp16": _WITH_HALVES}.get(options.precision, (kind,))
        if kind not in able:
            raise UsageError(f"format: {kind} files are not written in {options.precision}; {' and '.join(able)} are.")
        if options.raw_input and kind in _ONLY_FLOAT:
            raise UsageError(f"format: the preprocessing cannot be put into {kind} files. Leave --with-preprocess out.")
    return kinds


def choose_targets(
    checkpoint: Path, formats: Sequence[str], out: Path | str | None, stem: str, options: ExportOptions
) -> dict[str, Path]:
    """The main file of each format, in the order of `formats`.

    Raises UsageError for a format that cannot be had, see `require_formats`, or a file that is there and may not be
    replaced.
    """
    kinds = require_formats(formats, options)
    folder = Path(out) if out is not None else _beside(checkpoint)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file. Choose a folder.")
    targets = {kind: folder / f"{stem}{FORMATS.entry(kind).suffix}" for kind in kinds}
    for path in targets.values():
        if path.exists() and not options.overwrite:
            raise UsageError(f"{path}: exists already. Use --overwrite to replace it, or another --name or --out.")
    return targets


def choose_stem(checkpoint: Path, model: str, name: str | None, options: ExportOptions) -> str:
    """The files' name without suffix: the one that was asked for, or one that says what is in them.

    A run's best checkpoint gives "vgg16-unet", in int8 "vgg16-unet-int8"; another checkpoint adds its own name.
    Raises UsageError for a name that is none.
    """
    require_name(name)
    if name is not None:
        return name
    parts = [model] if checkpoint.stem == "best" else [model, checkpoint.stem]
    if options.precision != "fp32":
        parts.append(options.precision)
    if options.raw_input:
        parts.append("raw")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip(".-")[:150]


def _beside(checkpoint: Path) -> Path:
    folder = checkpoint.parent
    return (folder.parent if folder.name == "weights" else folder) / _FOLDER
