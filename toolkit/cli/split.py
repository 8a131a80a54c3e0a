"""seg split"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.console import make_progress, show, show_json, spare_blas_threads
from toolkit.cli.options import Dataset, Workers
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.splitting.bonds import Bond
    from toolkit.splitting.result import Split

_NAMED = 8
_WIDEST_NAME = 40
_BONDS_SHOWN = 3


def split(
    dataset: Dataset = None,
    ratio: Annotated[
        float | None, typer.Option(help="Share of the images that is trained on. [default: 0.9]", show_default=False)
    ] = None,
    val: Annotated[
        str | None,
        typer.Option(metavar="SHARE|N", help="For validation, instead of --ratio: 0.2 or 50.", show_default=False),
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="SHARE|N", help="For testing: 0.1 or 50. [default: none]", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Another seed, another choice. [default: 0]", show_default=False)
    ] = None,
    random: Annotated[
        bool, typer.Option("--random", help="A plain shuffle, not balanced by classes and their pixels.")
    ] = False,
    kfold: Annotated[
        int | None,
        typer.Option(
            metavar="K", help="K folds, for: seg train --fold 1, --fold 2, ... train.txt is fold 1.", show_default=False
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN|folder|FILE",
            help="Keep groups on one side: by what a regular expression finds in the name ('(.+)_[0-9]+'), by the "
            "annotation's folder, or by a file with lines of image,group.",
            show_default=False,
        ),
    ] = None,
    test_from: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The images in this list are for testing.", show_default=False)
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave every image on its side and add the new ones, by the same rule.")
    ] = False,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Near-identical pictures may lie on different sides.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace lists that seg did not make.")] = False,
    allow_bad: Annotated[
        bool, typer.Option("--allow-bad", help="Leave out images without a mask and masks without an image.")
    ] = False,
    workers: Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Choose which images are trained on and which are kept for validation.

    Every class is on both sides wherever that is possible, in like shares; near-identical pictures stay together.
    """
    amounts = {name: _amount(name, text) for name, text in (("val", val), ("test", test))}
    spare_blas_threads()
    from toolkit.splitting import split as job

    made = job.split(
        dataset,
        ratio=ratio,
        val=amounts["val"],
        test=amounts["test"],
        seed=seed,
        random=random,
        kfold=kfold,
        group_by=group_by,
        test_from=test_from,
        keep=keep,
        allow_leaks=allow_leaks,
        overwrite=overwrite,
        allow_bad=allow_bad,
        workers=workers,
        progress=make_progress(),
    )
    if as_json:
        show_json(made.as_dict() | made.lists())
    else:
        show("\n".join([*_table(made), *_lines(made)]))


def _amount(name: str, text: str | None) -> float | int | None:
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{name}: a share (0.1) or a number of images (20) is needed, got '{text}'.") from None


def _table(made: "Split") -> list[str]:
    """Images and pixel share of every class, side by side."""
    from rich.cells import cell_len, set_cell_size

    width = min(_WIDEST_NAME, max(5, *(cell_len(name) for name in made.classes)))
    sides = list(made.counts.items())
    lines = [
        f"{'':<{width}}" + "".join(f"  {name:>16}" for name, _ in sides),
        f"{'class':<{width}}" + f"  {'images':>7}  {'pixels':>7}" * len(sides),
    ]
    for index, name in enumerate(made.classes):
        cells = (f"  {counts.images[index]:>7,}  {_percent(counts.shares[index]):>7}" for _, counts in sides)
        lines.append(set_cell_size(name, width) + "".join(cells))
    lines.append(f"{'all':<{width}}" + "".join(f"  {counts.total:>7,}  {'':>7}" for _, counts in sides).rstrip())
    return lines


def _percent(share: float) -> str:
    """Two digits behind the point, or two that count."""
    return f"{share:.2%}" if share >= 0.01 or not share else f"{100 * share:.2g}%"


def _lines(made: "Split") -> list[str]:
    """Sentences under the table."""
    lines = [f"{len(made.train)} images for training, {len(made.val)} for validation"]
    if made.folds:
        lines = [f"{len(made.folds)} folds of {len(made.trainval)} images; train with: seg train --fold 1"]
    lines[0] += f", {len(made.test)} for testing" if made.test else ""
    lines[0] += f" ({made.rule}, seed {made.seed})"
    if made.together:
        lines.append(_together(made.together))
    if not made.folds:
        shown = ", ".join(made.val[:_NAMED])
        lines.append(f"validation: {shown}{f' and {len(made.val) - _NAMED} more' if len(made.val) > _NAMED else ''}")
    return lines


def _together(bonds: "tuple[Bond, ...]") -> str:
    largest = sorted(bonds, key=lambda bond: (-len(bond.stems), bond.stems))
    examples = [
        f"{bond.stems[0]} to {bond.stems[-1]} ({len(bond.stems)}, {bond.why})" for bond in largest[:_BONDS_SHOWN]
    ]
    more = f" and {len(bonds) - _BONDS_SHOWN} more" if len(bonds) > _BONDS_SHOWN else ""
    return f"kept together: {', '.join(examples)}{more}"
