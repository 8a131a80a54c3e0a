"""From a file to an engine, whatever the file is: a checkpoint, a run's folder, or an exported model."""

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.engines import ENGINES, EXTRA, FORMATS, EngineEntry, FormatEntry
from toolkit.engines.base import Engine, ModelCard
from toolkit.engines.naming import ends_of, format_of, refuse_companion
from toolkit.engines.precision import require_precision, settle_precision
from toolkit.errors import CheckpointError, UsageError
from toolkit.models.base import SegmentationModel
from toolkit.progress import SILENT, Progress
from toolkit.runs.checkpoint import Checkpoint

CHECKPOINT = ".safetensors"

Writer = Callable[[SegmentationModel, ModelCard, Path], tuple[Path, ...]]


def open_engine(
    path: Path,
    *,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    allow_code: bool = False,
    progress: Progress = SILENT,
) -> Engine:
    """Make a model ready to compute.

    path         a checkpoint, a run's folder (its best checkpoint), an exported file, or a folder that holds one
    engine       one of ENGINES; "auto": the one that is made for the file. Those that do not read checkpoints export
                 one first, which is forgotten afterwards: `seg export` keeps it
    precision    "auto", "fp32", "bf16", "fp16" or "int8"; not every engine computes in each
    device       "auto", "cpu", or a GPU as the engine calls it
    allow_code   import and run the model's own code (`py:module:callable`), and open files that can hold code

    Raises CheckpointError if the file cannot be used, UsageError for what the engine or this machine cannot do.
    """
    if engine != "auto":
        ENGINES.entry(engine)
    require_precision(precision)
    file = find_model(path)
    refuse_companion(file)
    kind = format_of(file)
    if kind is None:
        return _open_checkpoint(file, "torch" if engine == "auto" else engine, precision, device, allow_code, progress)
    chosen = _engine_for(file, kind, engine)
    if FORMATS.entry(kind).runs_code and not allow_code:
        raise CheckpointError(
            f"{file}: {kind} files can hold code that runs when they are opened. If you trust it: --allow-code "
            "(in Python allow_code=True). The other formats and checkpoints hold none."
        )
    opened: Engine = load_part(ENGINES.entry(chosen), chosen)(file, precision=precision, device=device)
    return opened


def find_model(path: Path) -> Path:
    """The model's file: `path` itself, or what lies in the folder: a run's best checkpoint or a single model.

    Raises CheckpointError if there is none or more than one.
    """
    if not path.is_dir():
        return path
    best = path / "weights" / "best.safetensors"
    if best.exists():
        return best
    suffixes = (CHECKPOINT, *(end for name in FORMATS for end in ends_of(name)))
    try:
        models = sorted(file for file in path.iterdir() if file.name.lower().endswith(suffixes))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}.") from None
    if len(models) != 1:
        there = f"{len(models)} models: {', '.join(file.name for file in models[:5])}" if models else "no model"
        raise CheckpointError(
            f"{path}: holds {there}. Name a file, or a folder with weights/best.safetensors or one model in it "
            f"({', '.join(suffixes)})."
        )
    return models[0]


def read_checkpoint(path: Path, *, allow_code: bool = False) -> tuple[SegmentationModel, ModelCard]:
    """The model of a checkpoint file, in evaluation mode on the CPU, and its card.

    Raises CheckpointError if it cannot be used.
    """
    saved = Checkpoint.load(path)
    try:
        model = saved.build(allow_code=allow_code)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return model, ModelCard(saved.classes, saved.preprocess, saved.config.model)


def load_writer(name: str) -> Writer:
    """What writes a format: `write(model, card, path)` gives the files it wrote, the main one, `path`, first.

    `path` ends in the format's suffix. The model is in evaluation mode on the CPU and stays as it is. Every file is
    complete or not there. Raises UsageError for an unknown name or packages that are not installed; the writer itself
    raises RunError if the model cannot be expressed in the format, SegError if the disk is full.
    """
    entry = FORMATS.entry(name)
    missing = [package for package in entry.needs if importlib.util.find_spec(package) is None]
    if missing:
        raise UsageError(f"{name}: {' and '.join(missing)} is needed and not installed. {EXTRA}")
    writer: Writer = load_part(entry, name)
    return writer


def load_part(entry: EngineEntry | FormatEntry, name: str) -> Any:
    """The part of a table line. Raises UsageError, with the line that installs it, if a package is missing."""
    try:
        return entry.load()
    except ImportError as error:
        raise UsageError(f"{name}: {error}. It needs {' and '.join(entry.needs) or 'torch'}: {EXTRA}") from None


def _engine_for(file: Path, kind: str, engine: str) -> str:
    able = [name for name in ENGINES if kind in ENGINES.entry(name).reads]
    # the one that was made for the format before those that also read it
    able.sort(key=lambda name: ENGINES.entry(name).reads.index(kind))
    if engine == "auto":
        installed = (name for name in able if all(importlib.util.find_spec(p) for p in ENGINES.entry(name).needs))
        return next(installed, able[0])
    if engine not in able:
        raise UsageError(
            f"{file}: engine {engine} does not read {kind} files. Use {' or '.join(able)}, or name the checkpoint."
        )
    return engine


def _open_checkpoint(
    file: Path, engine: str, precision: str, device: str, allow_code: bool, progress: Progress
) -> Engine:
    entry = ENGINES.entry(engine)
    make: Callable[..., Engine] = load_part(entry, engine)
    if not entry.reads:
        return make(*read_checkpoint(file, allow_code=allow_code), precision=precision, device=device)
    way_out = "int8 needs a file made for it: seg export --int8." if precision == "int8" else "Choose another engine."
    if precision != "auto":
        settle_precision(f"{engine} from a checkpoint", precision, entry.precisions, way_out)
    kind = entry.reads[0]
    write = load_writer(kind)
    model, card = read_checkpoint(file, allow_code=allow_code)
    progress.say(
        f"Converting {card.model} for {engine}, which can take a minute. seg export --format {kind} would keep the result."
    )
    with tempfile.TemporaryDirectory(prefix="seg-", ignore_cleanup_errors=True) as folder:
        converted = Path(folder, f"model{FORMATS.entry(kind).suffix}")
        write(model, card, converted)
        return make(converted, precision=precision, device=device)
