"""seg export"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.console import make_progress, show, show_json
from toolkit.cli.options import AllowCode
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.exporting.report import Computed, ExportReport


def export(
    run: Annotated[
        Path | None,
        typer.Argument(help="Run whose best model is exported. [default: the newest in runs/]", show_default=False),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="A checkpoint file instead of a run.", show_default=False)
    ] = None,
    formats: Annotated[
        str,
        typer.Option("--format", "-f", help="onnx, openvino, ncnn, torchscript, torch-export; several with commas."),
    ] = "onnx",
    precision: Annotated[
        str | None,
        typer.Option(
            help="Of the numbers in the file: fp32; fp16 (openvino, ncnn), half the size; int8. [default: fp32]",
            show_default=False,
        ),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="8-bit numbers, ranges from training images: a quarter of the size, quick (onnx, openvino)."
        ),
    ] = False,
    calibrate: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="With --int8: training images. [default: 32]", show_default=False),
    ] = None,
    with_preprocess: Annotated[
        bool,
        typer.Option("--with-preprocess", help="The file takes uint8 RGB (N, h, w, 3) and normalises by itself."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the files. [default: export in the run]", show_default=False),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the files, without suffix. [default: the model's]", show_default=False)
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of pictures to compare on. [default: val images of the training's dataset]", show_default=False
        ),
    ] = None,
    check: Annotated[
        int | None,
        typer.Option(
            min=1, max=100_000, help="Pictures to compare on. [default: 16; with --int8 64]", show_default=False
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of pixels that may get another class than from PyTorch in fp32. "
            "[default: 0.001; fp16 0.005; int8 0.05]",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    allow_code: AllowCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a model for other programs, each file compared with PyTorch before it is kept."""
    # what can be refused is refused before torch is imported, which takes seconds
    from toolkit.exporting.options import ExportOptions
    from toolkit.exporting.targets import find_checkpoint, require_formats, require_name

    if int8 and precision not in (None, "int8"):
        raise UsageError(f"int8 and precision {precision} contradict each other. Give one of them.")
    numbers = "int8" if int8 else precision or "fp32"
    if calibrate is not None and numbers != "int8":
        raise UsageError("calibrate needs --int8, which alone takes the ranges of its numbers from pictures.")
    options = ExportOptions(
        precision=numbers,
        raw_input=with_preprocess,
        check=check,
        calibrate=32 if calibrate is None else calibrate,
        tolerance=tolerance,
        overwrite=overwrite,
    )
    kinds = [kind.strip() for kind in formats.split(",") if kind.strip()]
    require_formats(kinds, options)
    require_name(name)
    checkpoint = find_checkpoint(run, weights)

    from toolkit.exporting import export as job

    report = job.export(
        weights=checkpoint,
        formats=kinds,
        out=out,
        name=name,
        images=images,
        options=options,
        allow_code=allow_code,
        progress=make_progress(),
    )
    if as_json:
        show_json(report.as_dict())
    else:
        show(_table(report))


def _table(report: "ExportReport") -> str:
    rows: list[tuple[str, ...]] = [
        ("file", "MB", "holds", "computed by", "logits differ", "same class", "worst", "speed", "mIoU")
    ]
    score = "" if report.miou is None else f"{report.miou:.4f}"
    rows.append((str(report.checkpoint), "", "", "torch, plain, fp32", "", "", "", "1.00", score))
    for item in report.files:
        rows.append((str(item.path), f"{item.size / 1e6:.1f}", item.precision, *_cells(item, report.miou)))
        if item.predicting is not None:
            rows.append(("  in seg predict", "", "", *_cells(item.predicting, report.miou)))
    used = [column for column in range(len(rows[0])) if any(row[column] for row in rows[1:])]
    widths = {column: max(len(row[column]) for row in rows) for column in used}
    lines = [
        "  ".join(
            row[column].ljust(widths[column]) if column in (0, 2, 3) else row[column].rjust(widths[column])
            for column in used
        ).rstrip()
        for row in rows
    ]
    number = f"{report.pictures} picture{'' if report.pictures == 1 else 's'}"
    lines.append(f"compared with PyTorch in fp32 on {number} ({report.origin}); speed: times as fast")
    if any(item.predicting is not None for item in report.files):
        lines.append(
            "in seg predict: in the numbers that it takes on this CPU, for speed; --precision fp32 takes others"
        )
    if report.calibrated_on:
        lines.append(f"int8 ranges from {report.calibrated_on} picture{'' if report.calibrated_on == 1 else 's'}")
    return "\n".join(lines)


def _cells(found: "Computed", miou: float | None) -> tuple[str, ...]:
    return (
        found.engine,
        f"{found.difference:.1e}",
        f"{found.agreement:.4%}",
        f"{found.worst_agreement:.4%}",
        f"{found.speed:.2f}",
        "" if found.miou is None or miou is None else f"{found.miou:.4f} ({found.miou - miou:+.4f})",
    )
