"""How quick this machine is with a model: every engine that is installed, in every precision it has, side by side."""

import copy
import itertools
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from toolkit.data.preprocess import Preprocess
from toolkit.engines import ENGINES, FORMATS
from toolkit.engines.base import Engine, ModelCard
from toolkit.engines.opening import load_writer, open_engine, read_checkpoint
from toolkit.engines.torch_engine import TorchEngine
from toolkit.errors import CheckpointError, RunError, UsageError
from toolkit.exporting.baseline import PlainEngine
from toolkit.exporting.compare import Measured, compare
from toolkit.exporting.int8 import INT8, load_int8
from toolkit.exporting.pictures import Pictures, choose_pictures, invented_pictures
from toolkit.labels.classmap import ClassMap
from toolkit.models.base import SegmentationModel
from toolkit.models.build import build_model
from toolkit.progress import SILENT, Progress
from toolkit.runs.checkpoint import Checkpoint
from toolkit.runs.config import TrainConfig

_PRECISIONS = ("fp32", "bf16", "fp16")
_CALIBRATED_ON = 8  # int8 is timed here; how good it is, is what seg export tells
_PROBE = 2  # sides, in strides, of what shows whether an engine works at all


@dataclass(frozen=True)
class BenchRow:
    """One engine in one precision.

    seconds      for one picture, median over the rounds
    speed        how many times as fast as plain PyTorch in fp32, median over the rounds
    agreement    share of pixels with the class that plain PyTorch in fp32 gives them, 0..1
    conversion   seconds that writing its file took, None if it needs none
    """

    engine: str
    precision: str
    device: str
    seconds: float
    speed: float
    agreement: float
    conversion: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "engine": self.engine,
            "precision": self.precision,
            "device": self.device,
            "seconds": float(f"{self.seconds:.4g}"),
            "speed": float(f"{self.speed:.4g}"),
            "agreement": round(self.agreement, 7),
            "conversion_seconds": None if self.conversion is None else round(self.conversion, 2),
        }


@dataclass(frozen=True)
class BenchReport:
    """What `bench` measured, the reference first, then by speed.

    size      the network saw size x size pixels
    threads   of the CPU
    missing   why an engine is not among the rows
    """

    model: str
    size: int
    rounds: int
    threads: int
    machine: str
    origin: str
    rows: tuple[BenchRow, ...]
    missing: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "model": self.model,
            "size": self.size,
            "rounds": self.rounds,
            "threads": self.threads,
            "machine": self.machine,
            "pictures": self.origin,
            "rows": [row.as_dict() for row in self.rows],
            "missing": self.missing,
        }


def bench_checkpoint(
    checkpoint: Path,
    *,
    size: int | None = None,
    images: Path | None = None,
    rounds: int = 5,
    int8: bool = True,
    allow_code: bool = False,
    progress: Progress = SILENT,
) -> BenchReport:
    """`bench` of a trained model, on pictures of the folder `images` or of the dataset that it was trained on."""
    config = Checkpoint.load(checkpoint).config
    model, card = read_checkpoint(checkpoint, allow_code=allow_code)
    pictures = choose_pictures(config, images, rounds, _CALIBRATED_ON)
    return bench(model, card, _as_many(pictures, rounds), size=size, int8=int8, progress=progress)


def bench_model(
    name: str,
    classes: int,
    *,
    size: int = 512,
    images: Path | None = None,
    rounds: int = 5,
    int8: bool = True,
    progress: Progress = SILENT,
) -> BenchReport:
    """`bench` of a model with random weights: the times are those of a trained one, the agreement is not.

    Raises UsageError for an unknown name.
    """
    torch.manual_seed(0)
    model = build_model(name, classes).eval()
    names = ("_background_", *(f"class_{k}" for k in range(1, classes)))
    stride = max(32, model.stride)
    card = ModelCard(ClassMap(names), Preprocess(size, stride + -stride % model.stride), name)
    if images is None:
        pictures = invented_pictures(rounds)
    else:
        pictures = choose_pictures(TrainConfig(), images, rounds, _CALIBRATED_ON)
    return bench(model, card, _as_many(pictures, rounds), size=size, int8=int8, progress=progress)


def bench(
    model: SegmentationModel,
    card: ModelCard,
    pictures: Pictures,
    *,
    size: int | None = None,
    int8: bool = True,
    progress: Progress = SILENT,
) -> BenchReport:
    """Time a model on this machine, one picture at a time: the middle square of each picture, scaled to the size.

    In each round one picture goes through all engines in turn, so that what else the machine does slows all alike.

    size   None: that of the training
    int8   also make int8 files, which takes the longest

    What is not installed, or cannot run this model, is named in `missing`. Raises DataError if no picture can be read.
    """
    chosen = card.preprocess.size if size is None else size
    chosen += -chosen % card.preprocess.stride
    card = replace(card, preprocess=replace(card.preprocess, size=chosen))
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="seg-bench-", ignore_cleanup_errors=True) as folder:
        files = dict(_files(model, card, pictures, Path(folder), int8, missing, progress))
        engines, conversions = _engines(model, card, files, missing)
        reference = PlainEngine(model, card)
        base, found = compare(reference, engines, pictures.check, square=True, progress=progress)
    rows = [_row(engines[name], base, measured, conversions.get(name)) for name, measured in found.items()]
    rows.sort(key=lambda row: -row.speed)
    first = BenchRow("torch, plain", "fp32", "cpu", statistics.median(base.seconds), 1.0, 1.0)
    return BenchReport(
        card.model,
        chosen,
        base.pictures,
        torch.get_num_threads(),
        _machine(),
        pictures.origin,
        (first, *rows),
        missing,
    )


def _as_many(pictures: Pictures, rounds: int) -> Pictures:
    """With one picture to check on for each round; a few come round again."""
    again = itertools.islice(itertools.cycle(pictures.check), rounds)
    return replace(pictures, check=tuple(again))


def _files(
    model: SegmentationModel,
    card: ModelCard,
    pictures: Pictures,
    folder: Path,
    int8: bool,
    missing: dict[str, str],
    progress: Progress,
) -> Iterator[tuple[str, tuple[Path, float]]]:
    """format, or format-int8 -> its file and the seconds that writing it took."""
    wanted = list(dict.fromkeys(ENGINES.entry(name).reads[0] for name in ENGINES if ENGINES.entry(name).reads))
    made = [(kind, False) for kind in wanted] + [(kind, True) for kind in INT8 if int8 and kind in wanted]
    for kind, small in progress.track(made, "Converting", len(made)):
        label = f"{kind}-int8" if small else kind
        path = folder / label / f"model{FORMATS.entry(kind).suffix}"
        path.parent.mkdir()
        began = time.monotonic()
        try:
            if small:
                calibrate = pictures.calibrate or pictures.check
                load_int8(kind)(model, replace(card, precision="int8"), path, calibrate, SILENT)
            else:
                load_writer(kind)(model, card, path)
        except (UsageError, RunError) as error:
            missing[label] = str(error)
            continue
        yield label, (path, time.monotonic() - began)


def _engines(
    model: SegmentationModel, card: ModelCard, files: dict[str, tuple[Path, float]], missing: dict[str, str]
) -> tuple[dict[str, Engine], dict[str, float]]:
    """Every engine in every precision that works here, and the seconds that converting for it took."""
    engines: dict[str, Engine] = {}
    conversions: dict[str, float] = {}

    def add(name: str, engine: Engine, seconds: float | None = None) -> None:
        side = _PROBE * card.preprocess.stride
        engine.logits(torch.zeros(1, side, side, 3, dtype=torch.uint8))
        engines[name] = engine
        if seconds is not None:
            conversions[name] = seconds

    for device in ("cpu", *(("cuda",) if torch.cuda.is_available() else ())):
        for precision in _PRECISIONS:
            try:
                add(
                    f"torch {device} {precision}",
                    TorchEngine(copy.deepcopy(model), card, precision=precision, device=device),
                )
            except UsageError:
                continue  # a precision that it does not have there
    for name in ENGINES:
        reads = ENGINES.entry(name).reads
        tried = [(reads[0], p) for p in _PRECISIONS if reads] + [(f"{kind}-int8", "auto") for kind in reads[:1]]
        for kind, precision in tried:
            if kind not in files:
                continue
            path, seconds = files[kind]
            try:
                opened = open_engine(path, engine=name, precision=precision, device="cpu", allow_code=True)
                add(f"{name} {kind} {precision}", opened, seconds)
            except UsageError as error:
                if precision in ("fp32", "auto"):
                    missing[name] = str(error)
            except (CheckpointError, RunError) as error:
                missing[name] = str(error)
    return engines, conversions


def _row(engine: Engine, base: Measured, measured: Measured, conversion: float | None) -> BenchRow:
    return BenchRow(
        engine.name,
        engine.precision,
        str(engine.device),
        statistics.median(measured.seconds),
        statistics.median(b / f for b, f in zip(base.seconds, measured.seconds, strict=True)),
        measured.agreement,
        conversion,
    )


def _machine() -> str:
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}{gpu}"
