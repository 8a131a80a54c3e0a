"""seg train"""

import contextlib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.before_training import preview_training, rehearse_training
from toolkit.cli.console import make_progress, show, show_json
from toolkit.cli.options import AllowCode, with_train_options
from toolkit.cli.stopping import stop_requests
from toolkit.errors import CheckpointError, SegError, StoppedWithOthers, UsageError
from toolkit.losses.build import parse_loss
from toolkit.models import MODELS
from toolkit.models.entry import choose_model, refuse_own_code, refuse_what_it_lacks
from toolkit.runs.config import TrainConfig, read_options
from toolkit.training.launch import is_main, is_one_of_several, train_on
from toolkit.voc.layout import DEFAULT_ROOT

if TYPE_CHECKING:
    from toolkit.metrics import Scores
    from toolkit.training.run import TrainReport

_SHEET_ROWS = 6


@with_train_options
def train(
    dataset: Annotated[
        Path | None,
        typer.Argument(
            help=f"Dataset in VOC layout; with --resume: the run. [default: {DEFAULT_ROOT.as_posix()}]",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the run. [default: runs/train-N] With --preview: the picture. [default: runs/preview-N/preview.jpg]",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML with options; what is typed wins.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, time a few steps, estimate the rest, and stop.")
    ] = False,
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Draw training samples as augmented, with their masks, into --out, and stop."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run: the newest, or the one named.")] = False,
    allow_code: AllowCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    **options: Any,
) -> None:
    """Train a model on a dataset and keep the best one."""
    typed = {name: value for name, value in options.items() if value is not None}
    if resume and (typed or config or out or dry_run or preview):
        given = [f"--{name.replace('_', '-')}" for name in typed] + ["--config"] * bool(config) + ["--out"] * bool(out)
        given += ["--dry-run"] * dry_run + ["--preview"] * preview
        raise UsageError(
            f"--resume goes on with the run's own options; leave out {', '.join(given)} or start a new run (--weights RUN begins with its weights)."
        )
    # what can be refused is refused before torch is imported, which takes seconds
    from toolkit.runs.folder import RunFolder
    from toolkit.voc.folder import VocFolder

    chosen, run = None, None
    if resume:
        run = dataset if dataset is not None else RunFolder.newest(to_resume=True).root
    else:
        chosen = _config(config, dataset, typed, allow_code=allow_code)
        folder = VocFolder.find(Path(chosen.dataset))
        for side in ("train", "val"):
            folder.read_list(side, chosen.fold)

    if chosen is not None and preview:
        preview_training(chosen, out, as_json=as_json)
        return
    devices = _devices(chosen if chosen is not None else TrainConfig.read(RunFolder.existing(Path(run or ".")).config))
    if devices > 1:
        code = train_on(devices, sys.argv[1:])
        if code:
            raise StoppedWithOthers(code)  # they have said why
        return
    if chosen is not None and dry_run:
        rehearse_training(chosen, as_json=as_json)
        return
    from toolkit.training.run import train as train_model

    report = train_model(
        chosen, out=out, resume=run, allow_code=allow_code, progress=make_progress(), should_stop=_stop_requests()
    )
    if not is_main():
        return
    _draw_sheet(report, allow_code=allow_code or run is None)  # what this process was asked to train is trusted
    if as_json:
        show_json(report.as_dict())
    else:
        _show(report)


def _devices(config: TrainConfig) -> int:
    """How many processes are to be started: one for each device named, unless this is one of them."""
    return 1 if is_one_of_several() else config.device.count(",") + 1


def _config(path: Path | None, dataset: Path | None, typed: dict[str, Any], *, allow_code: bool) -> TrainConfig:
    from toolkit.losses.class_weights import check_choice

    values = read_options(path) if path is not None else {}
    if dataset is not None:
        typed = typed | {"dataset": str(dataset)}
    config = TrainConfig.from_dict(values | typed, str(path) if path is not None else "options")
    refuse_what_it_lacks(config.model, choose_model(config.model, MODELS).entry, config.width, config.upscale)
    for file in (config.weights, config.encoder_weights):
        if file not in ("auto", "imagenet", "none") and not Path(file).exists():
            raise CheckpointError(f"{file}: there is no such file of weights.")
    if path is not None and "model" not in typed and not allow_code:
        try:
            refuse_own_code(config.model)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
    parse_loss(config.loss)
    check_choice(config.class_weights)
    return config


def _stop_requests() -> Callable[[], bool]:
    should_stop = stop_requests("stopping after this step; once more to stop at once, losing it")
    should_stop()  # signals are caught from here on: what is prepared is worth keeping
    return should_stop


def _draw_sheet(report: "TrainReport", *, allow_code: bool) -> None:
    from toolkit.data.dataset import VocSamples
    from toolkit.prediction.predictor import load
    from toolkit.report.sheet import Row, write_sheet
    from toolkit.runs.config import TrainConfig
    from toolkit.voc.folder import VocFolder

    config = TrainConfig.read(report.run.config)
    samples = VocSamples(VocFolder.find(Path(config.dataset)), report.val_stems)
    precision = "fp32" if config.amp is False else "auto"
    predictor = load(report.best, device=config.device.split(",")[0], precision=precision, allow_code=allow_code)
    rows: list[Row] = []
    for index in range(len(samples)):
        with contextlib.suppress(SegError):  # of pictures that were skipped in training, too
            sample = samples[index]
            rows.append(Row(sample.image, sample.mask, predictor.predict(sample.image).mask))
        if len(rows) == _SHEET_ROWS:
            break
    if not rows:
        return
    try:
        write_sheet(rows, predictor.classes, report.run.samples)
    except SegError as error:  # a picture is no reason to lose the result
        make_progress().warn(str(error))


def score_table(scores: "Scores") -> str:
    """Rows of class, IoU, recall, precision, Dice; then the means."""

    def cell(value: float) -> str:
        return "     -" if math.isnan(value) else f"{value:6.3f}"

    width = max(len(name) for name in scores.names)
    lines = [f"{'class':<{width}}     IoU  recall  precision    Dice"]
    for row in zip(scores.names, scores.iou, scores.recall, scores.precision, scores.dice, strict=True):
        lines.append(f"{row[0]:<{width}}  {cell(row[1])}  {cell(row[2])}     {cell(row[3])}  {cell(row[4])}")
    lines.append(
        f"mIoU {scores.miou:.3f}, pixel accuracy {scores.pixel_accuracy:.3f}, mean recall {scores.mean_recall:.3f}"
    )
    if any(math.isnan(value) for value in scores.iou):
        lines.append("(-: the class does not occur in the validation images; it is left out of the means)")
    return "\n".join(lines)


def _show(report: "TrainReport") -> None:
    show(score_table(report.scores))
    show(f"best epoch: {report.best_epoch} of {report.epochs}")
    show(f"model:      {report.best}")
    if report.run.samples.is_file():
        show(f"pictures:   {report.run.samples} (picture, annotation, prediction)")
