"""seg check"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.console import complain, make_progress, show, show_json, spare_blas_threads
from toolkit.cli.options import Workers
from toolkit.findings import Finding, by_code
from toolkit.voc.layout import DEFAULT_ROOT

if TYPE_CHECKING:
    from toolkit.audit.report import AuditReport

_EXAMPLES = 3


def check(
    path: Annotated[
        Path | None,
        typer.Argument(
            help=f"Dataset, or folder with labelme's JSON files. [default: {DEFAULT_ROOT.as_posix()}]",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="List of labels to hold against it.", show_default=False)] = None,
    fix: Annotated[
        Path | None,
        typer.Option(help="New folder for a copy in which is mended what can be mended safely.", show_default=False),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings, too.")] = False,
    workers: Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look for what spoils training, in annotations or in a dataset, and say how to mend it."""
    spare_blas_threads()
    from toolkit.audit import check as job

    report = job.check(path, labels=labels, fix=fix, workers=workers, progress=make_progress())
    if as_json:
        show_json(report.as_dict())
    else:
        _show(report)
    for line in report.mended:
        complain(f"{fix}: {line}")
    if not report.ok or (strict and report.number("warning")):
        raise typer.Exit(1)


def _show(report: "AuditReport") -> None:
    from toolkit.audit.codes import CODES

    for code, alike in by_code(report.findings).items():
        show(f"{alike[0].level}: {CODES[code].title} ({len(alike)})")
        for finding in alike[:_EXAMPLES]:
            show(f"  {_line(finding)}")
        if len(alike) > _EXAMPLES:
            show(f"  and {len(alike) - _EXAMPLES} more (all with --json)")
        if alike[0].why:
            show(f"  why: {alike[0].why}")
        for way_out in dict.fromkeys(finding.way_out for finding in alike[:_EXAMPLES] if finding.way_out):
            show(f"  way out: {way_out}")
    things = ", ".join(f"{count} {what}" for what, count in report.counts.items())
    if not report.findings:
        show(f"{report.path}: nothing to complain about: {things}")
        return
    numbers = [_counted(report.number(level), level) for level in ("error", "warning", "note")]
    show(f"{report.path}: {', '.join(numbers)} in {things}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _line(finding: Finding) -> str:
    return f"{finding.place}: {finding.reason}"
