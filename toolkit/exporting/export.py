"""A checkpoint -> files for other programs, each compared with PyTorch before it gets its name."""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.engines.base import Engine, ModelCard
from toolkit.engines.opening import load_writer, open_engine, read_checkpoint
from toolkit.errors import DataError, RunError, SegError, UsageError
from toolkit.exporting.baseline import PlainEngine
from toolkit.exporting.compare import Measured, compare
from toolkit.exporting.int8 import load_int8
from toolkit.exporting.options import ExportOptions
from toolkit.exporting.pictures import Pictures, choose_pictures
from toolkit.exporting.report import Computed, ExportedFile, ExportReport
from toolkit.exporting.targets import choose_stem, choose_targets, find_checkpoint
from toolkit.models.base import SegmentationModel
from toolkit.progress import SILENT, Progress
from toolkit.runs.checkpoint import Checkpoint

_DEFAULTS = ExportOptions()

_Make = Callable[[SegmentationModel, ModelCard, Path, Pictures, Progress], tuple[Path, ...]]


@dataclass(frozen=True)
class _Written:
    """A format's files, which wait in a folder of their own for being checked."""

    files: tuple[Path, ...]
    seconds: float


def export(
    *,
    run: Path | str | None = None,
    weights: Path | str | None = None,
    formats: Sequence[str] = ("onnx",),
    out: Path | str | None = None,
    name: str | None = None,
    images: Path | str | None = None,
    options: ExportOptions = _DEFAULTS,
    allow_code: bool = False,
    progress: Progress = SILENT,
) -> ExportReport:
    """Write a trained model in each format to `out`, or to the folder `export` of its run.

    run, weights   a run's folder (its best checkpoint) or a checkpoint file; neither: the newest run
    formats        of `toolkit.engines.FORMATS`
    name           of the files, without suffix; None: the model's
    images         a folder of pictures to compare on; None: those of the dataset that the model was trained on
    allow_code     import and run the model's own code, if it is one of `py:module:callable`

    Each file is opened again, computed in fp32 (int8: in int8) and compared with PyTorch in fp32. One that gives too
    many pixels another class is not kept, see `ExportOptions.tolerance`; the others are. Raises RunError for such a one
    or for a model that the format cannot express, UsageError for what contradicts itself or a file that is there,
    CheckpointError if the checkpoint cannot be used, DataError if there is no picture where one is needed.
    """
    checkpoint = find_checkpoint(run, weights)
    config = Checkpoint.load(checkpoint).config
    targets = choose_targets(checkpoint, formats, out, choose_stem(checkpoint, config.model, name, options), options)
    makers = {kind: _maker(kind, options) for kind in targets}
    pictures = choose_pictures(config, None if images is None else Path(images), options.pictures, options.calibrate)
    _say(pictures, options, progress)
    model, card = read_checkpoint(checkpoint, allow_code=allow_code)
    card = replace(card, raw_input=options.raw_input, precision=options.precision)

    with _workshop(next(iter(targets.values())).parent) as work:
        written = {}
        for kind, target in targets.items():
            progress.say(f"Writing {target.name} ...")
            began = time.monotonic()
            place = work / kind
            place.mkdir()
            files = makers[kind](model, card, place / target.name, pictures, progress)
            written[kind] = _Written(files, time.monotonic() - began)
        base, found = _check(model, card, written, pictures, progress)
        kept: list[ExportedFile] = []
        refused: list[str] = []
        for kind, made in written.items():
            item = _describe(kind, made, targets[kind].parent, card, *found[kind])
            if not 1 - item.agreement <= options.most_unequal:
                refused.append(_refusal(item, options))
                continue
            _keep(made.files, item.files, options)
            kept.append(item)
    if refused:
        also = f" Kept: {', '.join(str(item.path) for item in kept)}." if kept else ""
        raise RunError(" ".join(refused) + also)
    calibrated = len(pictures.calibrate) if options.precision == "int8" else 0
    return ExportReport(checkpoint, base.pictures, pictures.origin, pictures.real, base.miou, calibrated, tuple(kept))


def _maker(kind: str, options: ExportOptions) -> _Make:
    """What writes a format, with its packages loaded: what is missing is said before anything is computed."""
    write = load_writer(kind)
    if options.precision != "int8":
        return lambda model, card, path, pictures, progress: write(model, card, path)
    write_int8 = load_int8(kind)

    def make(
        model: SegmentationModel, card: ModelCard, path: Path, pictures: Pictures, progress: Progress
    ) -> tuple[Path, ...]:
        files: tuple[Path, ...] = write_int8(model, card, path, pictures.calibrate, progress)
        return files

    return make


def _say(pictures: Pictures, options: ExportOptions, progress: Progress) -> None:
    if options.precision == "int8":
        if not pictures.calibrate:
            raise DataError(
                "int8 takes the ranges of its numbers from pictures, and the dataset of the training is not there. "
                "Name a folder with some like them: --images DIR (in Python images=)."
            )
        if set(pictures.calibrate) & set(pictures.check):
            progress.warn("int8 is checked on the pictures that it is calibrated with: there are too few for both.")
    if not pictures.real:
        progress.warn(
            "The dataset of the training is not there: the files are compared on invented pictures, which say less. "
            "Name a folder of real ones: --images DIR."
        )


@contextlib.contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """A hidden folder in `folder`, from which files can be moved; it goes away with what is left in it."""
    there = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".", suffix=".partial", dir=folder, ignore_cleanup_errors=True
        ) as place:
            yield Path(place)
    except OSError as error:
        raise SegError(
            f"{folder}: cannot be written: {error.strerror or error}. Free space or choose another folder."
        ) from error
    finally:
        if not there:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if nothing was kept


def _check(
    model: SegmentationModel, card: ModelCard, written: dict[str, _Written], pictures: Pictures, progress: Progress
) -> tuple[Measured, dict[str, tuple[Computed, Computed | None]]]:
    """Open every file with the engine that is made for it, on the CPU, and compare.

    Gives each in its own precision and, if they are others, in the numbers that predicting takes: 16 bits, where the
    CPU has them, would hide what the file itself rounds.
    """
    own = "int8" if card.precision == "int8" else "fp32"
    engines: dict[str, Engine] = {}
    for kind, made in written.items():
        for precision in ("auto", own):
            opened = open_engine(made.files[0], precision=precision, device="cpu", allow_code=True)  # seg's own file
            engines.setdefault(f"{kind} {opened.precision}", opened)
            if opened.precision == own:
                break
    base, found = compare(PlainEngine(model, card), engines, pictures.check, scored=pictures.scored, progress=progress)
    results: dict[str, tuple[Computed, Computed | None]] = {}
    for kind in written:
        as_computed = {
            engine.precision: _computed(engine, base, found[name])
            for name, engine in engines.items()
            if name.startswith(f"{kind} ")
        }
        results[kind] = as_computed.pop(own), next(iter(as_computed.values()), None)
    return base, results


def _computed(engine: Engine, base: Measured, found: Measured) -> Computed:
    return Computed(
        engine=str(engine),
        difference=found.relative,
        agreement=found.agreement,
        worst_agreement=found.worst,
        speed=statistics.median(b / f for b, f in zip(base.seconds, found.seconds, strict=True)),
        miou=found.miou,
    )


def _describe(
    kind: str, made: _Written, folder: Path, card: ModelCard, own: Computed, predicting: Computed | None
) -> ExportedFile:
    files = tuple(folder / path.name for path in made.files)
    return ExportedFile(
        path=files[0],
        files=files,
        format=kind,
        precision=card.precision,
        size=sum(path.stat().st_size for path in made.files),
        seconds=made.seconds,
        predicting=predicting,
        **vars(own),
    )


def _refusal(item: ExportedFile, options: ExportOptions) -> str:
    return (
        f"{item.path}: not kept. {1 - item.agreement:.3%} of the pixels get another class than from PyTorch in fp32, "
        f"{options.most_unequal:.3%} may (largest difference of a logit: {item.difference:.2g} of the largest one). "
        "Use --tolerance if that is good enough."
    )


def _keep(files: tuple[Path, ...], targets: tuple[Path, ...], options: ExportOptions) -> None:
    """Move the files, the main one last: where it is, its companions are."""
    for target in targets:
        if target.exists() and not options.overwrite:
            raise UsageError(f"{target}: exists already. Use --overwrite to replace it, or another --name or --out.")
    for file, target in reversed(list(zip(files, targets, strict=True))):
        file.replace(target)
