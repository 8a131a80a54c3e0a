"""seg predict"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.console import make_progress, show_json
from toolkit.cli.predicted import show_report
from toolkit.cli.stopping import stop_requests
from toolkit.engines import ENGINES
from toolkit.engines.precision import PRECISIONS
from toolkit.errors import StoppedWithOthers, UsageError
from toolkit.prediction.kinds import DEFAULT_OF_FILMS, DEFAULT_SAVE, known_kinds
from toolkit.prediction.options import TTA, PredictOptions
from toolkit.prediction.sources import STANDARD_INPUT
from toolkit.prediction.writers.options import SHAPES, WriteOptions
from toolkit.training.launch import is_main, is_one_of_several, train_on

_MODEL, _SEEN, _OUTPUT, _WORK = "Model", "What the network sees", "Output", "Which part of the work"
_STOPPING = "stopping when the pictures in work are finished; once more to stop at once"


def predict(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Pictures and films: files, folders with their subfolders, patterns, lists (@LIST or .txt, - for "
            "standard input), camera:0.",
            metavar="SOURCE...",
            show_default=False,
        ),
    ] = None,
    *,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Run whose best model predicts. [default: the newest in runs/]",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint or an exported model instead of a run.", show_default=False, rich_help_panel=_MODEL
        ),
    ] = None,
    engine: Annotated[str, typer.Option(help=f"auto, {', '.join(ENGINES)}.", rich_help_panel=_MODEL)] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            help=f"auto (16-bit where the device is built for it), {', '.join(PRECISIONS)}.", rich_help_panel=_MODEL
        ),
    ] = "auto",
    device: Annotated[
        str,
        typer.Option(
            help="auto, cpu, cuda, cuda:N or mps; several, as 0,1: a process for each.", rich_help_panel=_MODEL
        ),
    ] = "auto",
    allow_code: Annotated[
        bool,
        typer.Option(
            "--allow-code",
            help="Import a model of one's own (py:MODULE:CALLABLE) that a file names, and open files that can hold "
            "code; trust them first.",
            rich_help_panel=_MODEL,
        ),
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(
            help="Bring the longer side to so many pixels. [default: the size of training]",
            show_default=False,
            rich_help_panel=_SEEN,
        ),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            help="Multiply the picture's own sides instead; 1: every pixel as it is. What is larger than a tile is cut.",
            show_default=False,
            rich_help_panel=_SEEN,
        ),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            help="Longest side of a tile, for large pictures; alone it means --scale 1. [default: the size of training]",
            show_default=False,
            rich_help_panel=_SEEN,
        ),
    ] = None,
    overlap: Annotated[
        float, typer.Option(help="Of neighbouring tiles, as a share of their side.", rich_help_panel=_SEEN)
    ] = 0.25,
    letterbox: Annotated[
        bool, typer.Option("--letterbox", help="Pad to a square, as other tools do.", rich_help_panel=_SEEN)
    ] = False,
    tta: Annotated[
        str | None,
        typer.Option(
            help=f"Average several views of each picture: {', '.join(TTA)}.", show_default=False, rich_help_panel=_SEEN
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            help="Pictures or tiles at a time. [default: 1 on a CPU, 8 on a GPU]",
            show_default=False,
            rich_help_panel=_SEEN,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the results. [default: runs/predict-N]",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            help=f"What to write, separated by commas: {', '.join(known_kinds())}. "
            f"[default: {','.join(DEFAULT_SAVE)}; of films: {','.join(DEFAULT_OF_FILMS)}]",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    beside: Annotated[
        bool,
        typer.Option(
            "--beside",
            help="Write labelme JSON next to the pictures; what is there already stays.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    renew: Annotated[
        bool,
        typer.Option(
            "--renew",
            help="With --beside: replace predictions that nobody has looked at, as their flag 'predicted' says.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="With --beside: replace all labelme JSON that is there, also what is drawn or corrected by hand.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    opacity: Annotated[
        float, typer.Option(help="Of the classes in overlays and films, 0 to 1.", rich_help_panel=_OUTPUT)
    ] = 0.5,
    outline: Annotated[
        int | None,
        typer.Option(
            help="Width of the line around regions in overlays, pixels; 0: none. [default: grows with the picture]",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    shapes: Annotated[
        str, typer.Option(help=f"In labelme JSON: {' or '.join(SHAPES)} (bitmaps, exact).", rich_help_panel=_OUTPUT)
    ] = "polygon",
    tolerance: Annotated[
        float, typer.Option(help="How far a polygon may leave the outline, pixels.", rich_help_panel=_OUTPUT)
    ] = 0.5,
    min_area: Annotated[
        int | None,
        typer.Option(
            help="Leave smaller regions out of labelme JSON, pixels. [default: 16 for polygons, fewer where a class would "
            "suffer; nothing for masks]",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(
            help="Length of a pixel's side in a unit of yours: counts give areas too.",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=_OUTPUT)] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--continue",
            help="Go on as it was begun with what was stopped, in --out or the newest in runs/, and retry what failed.",
            rich_help_panel=_WORK,
        ),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Do the I-th part of N, with one --out for all: 1/8 to 8/8.",
            metavar="I/N",
            show_default=False,
            rich_help_panel=_WORK,
        ),
    ] = None,
    every: Annotated[int, typer.Option(help="Of films: only each N-th frame.", rich_help_panel=_WORK)] = 1,
    frames: Annotated[
        int | None,
        typer.Option(help="Of films and cameras: so many frames at most.", show_default=False, rich_help_panel=_WORK),
    ] = None,
    allow_bad: Annotated[
        bool,
        typer.Option(
            "--allow-bad", help="Exit with 0 although some pictures could not be read.", rich_help_panel=_WORK
        ),
    ] = False,
) -> None:
    """Predict pictures and films: masks, overlays, class ids, labelme JSON to correct, and more."""
    if not sources and not resume:
        raise UsageError("name what to predict: pictures, folders, patterns, lists, films or camera:0.")
    # what can be refused is refused before torch is imported, which takes seconds
    from toolkit.prediction.plan import make_plan, require_devices
    from toolkit.prediction.request import PredictRequest

    request = PredictRequest(
        sources=tuple(sources or ()),
        run=run,
        weights=weights,
        out=out,
        save=save,
        options=PredictOptions(size, scale, tile, overlap, letterbox, tta or (), batch),
        writing=WriteOptions(opacity, outline, shapes, tolerance, min_area, pixel_size),
        engine=engine,
        precision=precision,
        device=device,
        allow_code=allow_code,
        beside=beside,
        renew=renew,
        overwrite=overwrite,
        every=every,
        frames=frames,
        shard=shard,
        resume=resume,
    )
    plan = None
    if not is_one_of_several():
        require_devices(device)
        devices = device.count(",") + 1
        if devices == 1 or STANDARD_INPUT not in request.sources:  # standard input is read once, by who predicts
            plan = make_plan(request)
        if devices > 1:
            code = train_on(devices, sys.argv[1:])
            if code:
                raise StoppedWithOthers(code)  # they have said why
            return
    from toolkit.allocation import give_memory_back
    from toolkit.prediction.run import carry_out

    give_memory_back()

    report = carry_out(request, plan, progress=make_progress(), should_stop=stop_requests(_STOPPING))
    if not is_main():  # and exits with 0: torchrun ends the others, who may still be speaking, when one fails
        return
    if as_json:
        show_json(report.as_dict())
    else:
        show_report(report)
    if not report.ok and not allow_bad:
        raise typer.Exit(1)
