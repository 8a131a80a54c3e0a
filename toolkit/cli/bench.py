"""seg bench"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.console import make_progress, show, show_json
from toolkit.cli.options import AllowCode
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.exporting.bench import BenchReport


def bench(
    run: Annotated[
        Path | None,
        typer.Argument(help="Run whose best model is timed. [default: the newest in runs/]", show_default=False),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="A checkpoint file instead of a run.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A model of seg models, with random weights, instead of a trained one.", show_default=False),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(min=2, max=255, help="With --model: classes. [default: 21]", show_default=False),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=32,
            max=32_768,
            help="Side of what the network sees. [default: as trained; with --model 512]",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures. [default: those of the training's dataset]", show_default=False),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Pictures that go through all engines.")] = 5,
    int8: Annotated[
        bool, typer.Option("--int8/--no-int8", help="Also in int8, for which the files take longest to make.")
    ] = True,
    allow_code: AllowCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Time a model on this machine with every engine that is installed, in every precision."""
    if model is not None and (run is not None or weights is not None):
        raise UsageError("model, run and weights each name what to time. Give one of them.")
    if classes is not None and model is None:
        raise UsageError("classes needs --model: a trained model has its own.")
    if model is not None:
        from toolkit.models import MODELS
        from toolkit.models.entry import choose_model

        choose_model(model, MODELS)
        checkpoint = None
    else:
        from toolkit.exporting.targets import find_checkpoint

        checkpoint = find_checkpoint(run, weights)

    from toolkit.exporting.bench import bench_checkpoint, bench_model

    progress = make_progress()
    if checkpoint is not None:
        report = bench_checkpoint(
            checkpoint, size=size, images=images, rounds=rounds, int8=int8, allow_code=allow_code, progress=progress
        )
    else:
        report = bench_model(
            str(model), classes or 21, size=size or 512, images=images, rounds=rounds, int8=int8, progress=progress
        )
    show_json(report.as_dict()) if as_json else show(_table(report))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _table(report: "BenchReport") -> str:
    rows = [("engine", "precision", "device", "s/picture", "speed", "same class", "converted in")]
    for row in report.rows:
        seconds = "" if row.conversion is None else f"{row.conversion:.0f} s"
        rows.append(
            (
                row.engine,
                row.precision,
                row.device,
                f"{row.seconds:.3f}",
                f"{row.speed:.2f}",
                f"{row.agreement:.4%}",
                seconds,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines += [f"not measured: {name}: {reason}" for name, reason in report.missing.items()]
    lines.append(
        f"{report.model}, {report.size} x {report.size} pixels, {_count(report.rounds, 'round')} on {report.origin}; "
        f"{_count(report.threads, 'thread')}, {report.machine}; speed: times as fast as the first line"
    )
    return "\n".join(lines)
