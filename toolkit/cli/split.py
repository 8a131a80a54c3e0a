"""seg split"""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.console import make_progress, show, show_json, spare_blas_threads
from toolkit.voc.layout import DEFAULT_ROOT


def split(
    dataset: Annotated[
        Path | None,
        typer.Argument(help=f"Dataset in VOC layout. [default: {DEFAULT_ROOT.as_posix()}]", show_default=False),
    ] = None,
    ratio: Annotated[float, typer.Option(help="Share of the images that is trained on.")] = 0.9,
    seed: Annotated[int, typer.Option(help="Another seed, another choice.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace lists that seg did not make.")] = False,
    allow_bad: Annotated[
        bool, typer.Option("--allow-bad", help="Leave out images without a mask and masks without an image.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Choose which images are trained on and which are kept for validation."""
    spare_blas_threads()
    from toolkit.voc import split as job

    made = job.split(
        dataset, ratio=ratio, seed=seed, overwrite=overwrite, allow_bad=allow_bad, progress=make_progress()
    )
    if as_json:
        show_json(made.as_dict() | made.lists())
        return
    show(f"{len(made.train)} images for training, {len(made.val)} for validation (seed {seed})")
    shown = ", ".join(made.val[:8])
    show(f"validation: {shown}{f' and {len(made.val) - 8} more' if len(made.val) > 8 else ''}")
