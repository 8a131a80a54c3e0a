"""seg predict"""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.console import make_progress, show, show_json
from toolkit.cli.options import AllowCode


def predict(
    sources: Annotated[
        list[str], typer.Argument(help="Pictures: files, folders with their subfolders, patterns.", metavar="SOURCE...")
    ],
    run: Annotated[
        Path | None,
        typer.Option(help="Run whose best model predicts. [default: the newest in runs/]", show_default=False),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="A checkpoint file instead of a run.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the results. [default: runs/predict-N]", show_default=False),
    ] = None,
    save: Annotated[
        str, typer.Option(help="What to write: mask, overlay, ids, labelme, separated by commas.")
    ] = "mask,overlay,ids,labelme",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    amp: Annotated[
        bool | None,
        typer.Option(
            "--amp/--no-amp", help="16-bit arithmetic. [default: where the device is built for it]", show_default=False
        ),
    ] = None,
    allow_code: AllowCode = False,
    allow_bad: Annotated[
        bool, typer.Option("--allow-bad", help="Exit with 0 although some pictures could not be read.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict pictures: masks, overlays, class ids, and labelme JSON to correct."""
    # what can be refused is refused before torch is imported, which takes seconds
    from toolkit.prediction.sources import find_sources
    from toolkit.prediction.writers import WRITERS
    from toolkit.runs.folder import RunFolder

    kinds = [kind.strip() for kind in save.split(",") if kind.strip()]
    for kind in kinds:
        WRITERS.entry(kind)
    if run is None and weights is None:
        run = RunFolder.newest().root
    find_sources(sources)

    from toolkit.prediction import run as job

    report = job.predict(
        sources,
        run=run,
        weights=weights,
        out=out,
        save=kinds,
        device=device,
        amp=amp,
        allow_code=allow_code,
        progress=make_progress(),
    )
    if as_json:
        show_json(report.as_dict())
    else:
        total = sum(report.pixels.values()) or 1
        width = max(map(len, report.pixels))
        show(
            "\n".join(
                f"{name:<{width}}  {pixels / total:>8.3%} of all pixels" for name, pixels in report.pixels.items()
            )
        )
        failed = f", {len(report.failures)} could not be read" if report.failures else ""
        show(f"{report.images} pictures predicted with {report.checkpoint}{failed}")
        show(f"results: {', '.join(str(report.root / kind) for kind in kinds)}")
    if not report.ok and not allow_bad:
        raise typer.Exit(1)
