"""seg weights"""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.console import complain, make_progress, show, show_json, spare_blas_threads
from toolkit.cli.options import Dataset, Workers
from toolkit.errors import UsageError


def weights(
    dataset: Dataset = None,
    choice: Annotated[
        str | None,
        typer.Option(
            "--class-weights",
            help="Show these only: auto, none, inverse, sqrt, median, enet, effective, w0,w1,... or a FILE. "
            "[default: every method]",
            show_default=False,
        ),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(help="Of several: count its train list. [default: train.txt]", show_default=False, min=1),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Also write them (auto, if none are chosen) into this YAML file for seg train --class-weights FILE.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    workers: Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show the class weights that the training masks lead to, without training."""
    if out is not None and (out.is_dir() or (out.exists() and not overwrite)):
        raise UsageError(f"{out}: exists already. Use --overwrite to replace it, or another name.")
    spare_blas_threads()
    from toolkit.files import write_text
    from toolkit.losses.class_weights import METHODS, check_choice, train_counts, weights_from_counts
    from toolkit.losses.given_weights import weights_yaml
    from toolkit.losses.weights_table import counts_table, weights_table

    wanted = "auto" if choice is None else choice
    check_choice(wanted)
    progress = make_progress()
    counts, classes = train_counts(dataset, fold=fold, workers=workers, progress=progress)
    chosen = weights_from_counts(wanted, counts, classes)
    methods = METHODS if choice is None else ()
    every = {name: weights_from_counts(name, counts, classes).values for name in methods}
    if as_json:
        more = {"methods": {name: values.tolist() for name, values in every.items()}} if every else {}
        show_json(chosen.as_dict() | more)
    else:
        lines = counts_table(counts, classes, every) if every else weights_table(chosen)
        show("\n".join([*lines, chosen.reason]))
    for warning in chosen.warnings:
        progress.warn(warning)
    if out is not None:
        write_text(out, weights_yaml(f"class weights for seg train: {chosen.reason}", classes.names, chosen.values))
        complain(f"written to {out}; seg train --class-weights {out} reads it")
