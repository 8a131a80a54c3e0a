"""seg convert"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.console import make_progress, show, show_findings, show_json, spare_blas_threads
from toolkit.cli.options import Workers
from toolkit.voc.layout import DEFAULT_ROOT

if TYPE_CHECKING:
    from toolkit.conversion.report import ConvertReport


def convert(
    labelme_dir: Annotated[Path, typer.Argument(help="Folder with labelme's JSON files, subfolders included.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Dataset to write.")] = DEFAULT_ROOT,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Label list in labelme's convention, or YAML with aliases. "
            "[default: background, then the labels used, sorted]",
            show_default=False,
        ),
    ] = None,
    unknown: Annotated[
        str, typer.Option(help="Labels that the list does not have: error, ignore (255), background, or add them.")
    ] = "error",
    rename: Annotated[
        list[str] | None, typer.Option("--map", help="OLD=NEW: draw a label as another one; may be repeated.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Draw this label and no other; may be repeated.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Do not draw this label; may be repeated.")] = None,
    order: Annotated[
        str, typer.Option(help="What covers what: list (later shapes, as in labelme), area (smaller ones), priority.")
    ] = "list",
    priority: Annotated[
        list[str] | None,
        typer.Option(help="LABEL=NUMBER for --order priority: higher covers lower. [default: by class id]"),
    ] = None,
    line_width: Annotated[int, typer.Option(help="Of lines and linestrips, in pixels.")] = 10,
    point_size: Annotated[int, typer.Option(help="Radius of points, in pixels.")] = 5,
    instances: Annotated[bool, typer.Option(help="Write SegmentationObject, too.")] = True,
    images: Annotated[Path | None, typer.Option(help="Folder in which pictures are looked for first.")] = None,
    unlabelled: Annotated[
        str, typer.Option(help="Pictures without an annotation: skip, or background (they go in with an empty mask).")
    ] = "skip",
    only_reviewed: Annotated[
        bool,
        typer.Option(
            "--only-reviewed",
            help="Leave out predictions nobody has looked at: those that still have the flag predicted.",
        ),
    ] = False,
    image_format: Annotated[
        str, typer.Option(help="jpg: all pictures become JPEG; png: all others than JPEG PNG; keep: PNG stays PNG.")
    ] = "jpg",
    rescale: Annotated[
        bool, typer.Option("--rescale", help="Scale the points where a picture was resized after it was annotated.")
    ] = False,
    encoding: Annotated[
        str | None, typer.Option(help="Of the JSON files, for example gb18030. [default: UTF-8]", show_default=False)
    ] = None,
    max_megapixels: Annotated[float, typer.Option(help="Refuse larger pictures before they are decoded.")] = 500,
    update: Annotated[
        bool, typer.Option("--update", help="Add to a dataset that is there, and do again what has changed.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a dataset that is there.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first file that cannot be converted.")] = False,
    allow_bad: Annotated[
        bool, typer.Option("--allow-bad", help="Exit with 0 although some files could not be converted.")
    ] = False,
    workers: Workers = None,
    dask: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers do the work.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Turn labelme annotations into a VOC dataset: pictures, masks, class_names.txt."""
    spare_blas_threads()
    from toolkit.conversion import convert as job
    from toolkit.conversion.labelling import parse_pairs, parse_priorities
    from toolkit.conversion.options import LabelOptions

    report = job.convert(
        labelme_dir,
        out,
        labels=labels,
        label_options=LabelOptions(
            rename=parse_pairs("map", rename or ()),
            only=tuple(only or ()),
            drop=tuple(drop or ()),
            unknown=unknown,
            priorities=parse_priorities(priority or ()),
        ),
        images=images,
        unlabelled=unlabelled,
        only_reviewed=only_reviewed,
        update=update,
        overwrite=overwrite,
        strict=strict,
        workers=workers,
        dask=dask,
        progress=make_progress(),
        image_format=image_format,
        order=order,
        line_width=line_width,
        point_size=point_size,
        instances=instances,
        rescale=rescale,
        encoding=encoding,
        max_megapixels=max_megapixels,
    )
    if as_json:
        show_json(report.as_dict())
    else:
        _show(report)
    if not report.ok and not allow_bad:
        raise typer.Exit(1)


def _show(report: "ConvertReport") -> None:
    where = str(report.root / "report.json")
    show_findings("warning", report.remarks, where)
    show_findings("not converted", report.failures, where)
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
    parts = [f"{report.images} images with masks in {report.root}"]
    if report.unchanged:
        parts.append(f"{report.unchanged} of them unchanged")
    if report.without_shapes:
        parts.append(f"{report.without_shapes} without any shape")
    if report.unlabelled:
        parts.append(
            f"{report.unlabelled} pictures without an annotation left out (--unlabelled background takes them in)"
        )
    if report.left_out:
        parts.append(f"{report.left_out} predictions that nobody has looked at left out")
    if report.gone:
        parts.append(f"{report.gone} kept although their annotation is gone (--overwrite drops them)")
    if report.failures:
        parts.append(f"{len(report.failures)} not converted (mend them, then use --update)")
    if report.not_labelme:
        parts.append(f"{len(report.not_labelme)} JSON files were not labelme's")
    lines.append(", ".join(parts))
    show("\n".join(lines))
