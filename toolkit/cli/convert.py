"""seg convert"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.console import complain, make_progress, show, show_json
from toolkit.voc.layout import DEFAULT_ROOT

if TYPE_CHECKING:
    from toolkit.conversion.convert import ConvertReport

_SHOWN = 20


def convert(
    labelme_dir: Annotated[Path, typer.Argument(help="Folder with labelme's JSON files, subfolders included.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Dataset to write.")] = DEFAULT_ROOT,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Label list in labelme's convention. [default: background, then the labels used, sorted]",
            show_default=False,
        ),
    ] = None,
    image_format: Annotated[str, typer.Option(help="jpg: all pictures become JPEG; keep: PNG stays PNG.")] = "jpg",
    update: Annotated[bool, typer.Option("--update", help="Add to a dataset that is there, and renew it.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a dataset that is there.")] = False,
    allow_bad: Annotated[
        bool, typer.Option("--allow-bad", help="Exit with 0 although some files could not be converted.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", "-j", help="Processes. [default: as many as pay]", show_default=False, min=0),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Turn labelme annotations into a VOC dataset: pictures, masks, class_names.txt."""
    from toolkit.conversion import convert as job

    report = job.convert(
        labelme_dir,
        out,
        labels=labels,
        image_format=image_format,
        update=update,
        overwrite=overwrite,
        workers=workers,
        progress=make_progress(),
    )
    if as_json:
        show_json(report.as_dict())
    else:
        _show(report)
    if not report.ok and not allow_bad:
        raise typer.Exit(1)


def _show(report: "ConvertReport") -> None:
    for item in report.remarks[:_SHOWN]:
        complain(f"warning: {item}")
    if len(report.remarks) > _SHOWN:
        complain(f"warning: and {len(report.remarks) - _SHOWN} more, all in {report.root / 'report.json'}")
    for item in report.failures[:_SHOWN]:
        complain(f"not converted: {item}")
    if len(report.failures) > _SHOWN:
        complain(f"not converted: and {len(report.failures) - _SHOWN} more, all in {report.root / 'report.json'}")
    total = sum(report.pixels.values()) or 1
    width = max(map(len, report.pixels))
    lines = [f"{'class':<{width}}  {'id':>3}  {'shapes':>7}  {'pixels':>14}  {'share':>8}"]
    for index, (name, pixels) in enumerate(report.pixels.items()):
        if index == len(report.classes) and not (pixels or report.shapes.get(name)):
            continue
        class_id = index if index < len(report.classes) else 255
        lines.append(
            f"{name:<{width}}  {class_id:>3}  {report.shapes.get(name, 0):>7}  {pixels:>14,}  {pixels / total:>8.3%}"
        )
    failed = f", {len(report.failures)} not converted (mend them, then use --update)" if report.failures else ""
    empty = f", {report.without_shapes} without any shape" if report.without_shapes else ""
    other = f", {len(report.not_labelme)} JSON files were not labelme's" if report.not_labelme else ""
    lines.append(f"{report.images} images with masks in {report.root}{empty}{failed}{other}")
    show("\n".join(lines))
