"""seg demo"""

import shlex
from pathlib import Path
from typing import Annotated

import typer

import toolkit
from toolkit.cli.console import complain, show
from toolkit.errors import DataError
from toolkit.files import new_folder, numbered_folder


def demo(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for everything it makes. [default: seg-demo-N]", show_default=False),
    ] = None,
) -> None:
    """Run the whole chain on the sample that comes with seg, in a few minutes on a CPU."""
    sample = _sample()
    root = new_folder(out) if out is not None else numbered_folder(Path(), "seg-demo")
    dataset, run, results = root / "dataset", root / "run", root / "predictions"
    show(f"Sample: {sample}\nEverything goes to {root}; each command below can be typed as it stands.")
    _run("convert", str(sample), "--labels", str(sample / "labels.txt"), "--out", str(dataset))
    _run("split", str(dataset), "--ratio", "0.75")
    _run(
        *("train", str(dataset), "--model", "unet", "--width", "16", "--size", "192", "--batch", "4", "--epochs", "40"),
        *("--class-weights", "auto", "--out", str(run)),
    )
    _run("predict", str(sample), "--run", str(run), "--out", str(results))
    show(
        "\nWorth looking at:\n"
        f"  {run / 'val_samples.jpg'}   picture, annotation and prediction of images the model never saw\n"
        f"  {results / 'overlay'}   predictions laid over the pictures\n"
        f"  {run / 'log.csv'}   scores of every epoch\n"
        "Now with your own folder:\n"
        "  seg convert LABELME_DIR; seg split --ratio 0.9; seg train --class-weights auto; seg predict IMAGES"
    )


def _run(*arguments: str) -> None:
    from toolkit.cli.app import app

    complain(f"\n$ seg {shlex.join(arguments)}")
    code = app(list(arguments), prog_name="seg", standalone_mode=False)
    if code:
        raise typer.Exit(code)


def _sample() -> Path:
    package = Path(toolkit.__file__).parent
    for folder in (package.parent / "datasets" / "coins", package / "sample" / "coins"):
        if folder.is_dir():
            here = Path.cwd()
            return folder.relative_to(here) if folder.is_relative_to(here) else folder
    raise DataError(f"{package / 'sample'}: the sample is missing from this installation. Install seg-toolkit again.")
