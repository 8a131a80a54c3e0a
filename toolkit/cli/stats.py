"""seg stats"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.console import complain, make_progress, show, show_findings, show_json, spare_blas_threads
from toolkit.cli.options import Workers
from toolkit.errors import UsageError
from toolkit.voc.layout import DEFAULT_ROOT

if TYPE_CHECKING:
    from toolkit.tally.figures import ClassFigures, Spread, Statistics

_PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
_MOST_SIZES = 3
_UNREVIEWED = "that nobody has looked at (seg check names them)"


def stats(
    path: Annotated[
        Path | None,
        typer.Argument(
            help=f"Folder with labelme's JSON files, or a dataset. [default: {DEFAULT_ROOT.as_posix()}]",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Of a labelme folder: list of labels, for their order and other names.", show_default=False),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Also draw it into this file: .png, .svg or .pdf.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a picture that is there.")] = False,
    allow_bad: Annotated[
        bool, typer.Option("--allow-bad", help="Exit with 0 although some files could not be counted.")
    ] = False,
    workers: Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Count images, shapes and pixels of each class, before or after converting."""
    if picture is not None:
        _refuse(picture, overwrite=overwrite)
    spare_blas_threads()
    from toolkit.tally.statistics import statistics

    found = statistics(path, labels=labels, workers=workers, progress=make_progress())
    if picture is not None:
        from toolkit.files import write_bytes
        from toolkit.tally.chart import draw_chart

        write_bytes(picture, draw_chart(found, picture.suffix.lower().removeprefix(".")))
    show_findings("not counted", found.failures, "what --json prints")
    if as_json:
        show_json(found.as_dict())
    else:
        show("\n".join([*_table(found), *_lines(found)]))
        if picture is not None:
            complain(f"drawn in {picture}")
    if not found.ok and not allow_bad:
        raise typer.Exit(1)


def _refuse(picture: Path, *, overwrite: bool) -> None:
    if picture.suffix.lower() not in _PICTURE_SUFFIXES:
        raise UsageError(f"{picture}: a picture is drawn as {', '.join(_PICTURE_SUFFIXES)}.")
    if picture.is_dir() or (picture.exists() and not overwrite):
        raise UsageError(f"{picture}: exists already. Use --overwrite to replace it, or another name.")


def _table(found: "Statistics") -> list[str]:
    rows = list(found.classes)
    if found.ignored.pixels or found.ignored.shapes:
        rows.append(found.ignored)
    width = max(5, *(len(row.name) for row in rows))
    counted = found.shape_sizes is not None
    things = "shapes" if found.kind == "labelme" else "instances"
    sides = [name for name in ("train", "val", "test") if name in found.sides]
    head = f"{'class':<{width}}  {'id':>3}"
    if counted:
        head += f"  {things:>9}"
    head += f"  {'images':>7}" + "".join(f"  {f'in {name}':>8}" for name in sides) + f"  {'pixels':>15}  {'share':>8}"
    if counted:
        head += f"  {'smallest':>10}  {'median':>10}  {'largest':>11}"
    lines = [head]
    for row in rows:
        line = f"{row.name:<{width}}  {row.index:>3}"
        if counted:
            line += f"  {row.shapes:>9,}"
        line += f"  {row.images:>7,}"
        for name in sides:
            seen = "" if row is found.ignored else f"{found.sides[name].class_images[row.index]:,}"
            line += f"  {seen:>8}"
        line += f"  {row.pixels:>15,}  " + ("" if row is found.ignored else f"{found.share(row):>8.3%}")
        if counted and row.sizes.count:
            line = f"{line:<{len(head) - 37}}  {_sizes(row)}"
        lines.append(line.rstrip())
    return lines


def _sizes(row: "ClassFigures") -> str:
    return f"{row.sizes.least:>10,}  {row.sizes.median:>10,.0f}  {row.sizes.most:>11,}"


def _lines(found: "Statistics") -> list[str]:
    """Sentences under the table."""
    what = "annotations" if found.kind == "labelme" else "images with masks"
    lines = [f"{found.images:,} {what} in {found.source}"]
    if found.without_shapes:
        lines[0] += f", {found.without_shapes:,} of them nothing but background"
    sizes = [f"{w} x {h} ({count:,})" for (h, w), count in list(found.image_sizes.items())[:_MOST_SIZES]]
    more = len(found.image_sizes) - _MOST_SIZES
    text = ", ".join(sizes)
    if more > 0:
        least, median, most = (f"{w} x {h}" for h, w in found.middle_sizes())
        text += f" and {more:,} other sizes; smallest {least}, median {median}, largest {most}"
    lines.append(f"image sizes: {text}")
    if found.shapes_per_image is not None:
        lines.append(_shapes_line(found, found.shapes_per_image))
    if found.sides:
        lines.append("lists: " + ", ".join(f"{name} {side.images:,}" for name, side in found.sides.items()))
    for count, one, many, text in (
        (found.unreviewed, "annotation is a prediction", "annotations are predictions", _UNREVIEWED),
        (found.without_picture, "annotation has", "annotations have", "no picture (seg check names them)"),
        (found.unlabelled, "picture has", "pictures have", "no annotation"),
        (found.not_labelme, "JSON file is", "JSON files are", "not labelme's"),
        (len(found.failures), "file", "files", "could not be counted"),
    ):
        if count:
            lines.append(f"{count:,} {one if count == 1 else many} {text}")
    return lines


def _shapes_line(found: "Statistics", spread: "Spread") -> str:
    things = "shapes" if found.kind == "labelme" else "instances"
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in found.kinds.items())
    text = f"{things}: {found.shapes:,}" + (f" ({kinds})" if kinds else "")
    return f"{text}; {spread.least:,} to {spread.most:,} an image, median {spread.median:g}"
