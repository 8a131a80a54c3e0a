"""What `seg predict` says when it is done: shares of the classes, where everything lies, what comes next."""

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.console import show, typed
from toolkit.prediction.kinds import known_kinds

if TYPE_CHECKING:
    from toolkit.prediction.report import PredictReport

_NAMED = 3  # files that are named on the terminal; the manifest names all


def show_report(report: "PredictReport", *, beside: bool) -> None:
    """Show what was predicted. beside: labelme files were to be written next to the pictures."""
    total = sum(report.pixels.values())
    if total:
        width = max(map(len, report.pixels))
        show(
            "\n".join(
                f"{name:<{width}}  {pixels / total:>8.3%} of all pixels" for name, pixels in report.pixels.items()
            )
        )
    done = [f"{report.images} {'picture' if report.images == 1 else 'pictures'}"] if report.images else []
    done += [f"{report.frames} frames"] if report.frames else []
    failed = f", {len(report.failures)} could not be read" if report.failures else ""
    show(f"{' and '.join(done) or 'nothing'} predicted with {report.checkpoint} ({report.engine}){failed}")
    if report.kept:
        were = "file was there and stays as it is" if len(report.kept) == 1 else "files were there and stay as they are"
        show(f"{len(report.kept)} labelme {were}: {_a_few(report.kept)}")
    if not report.finished:
        show(f"this part is finished; tables and the manifest in {report.root} come with the last of the others")
    written = _written(report.root)
    show(f"results: {', '.join(map(str, written)) or report.root}")
    if beside and report.pictures is not None and (report.images or report.kept):
        show(f"look at them and correct them: seg annotate {typed(_as_seen_from_here(report.pictures))}")
    elif any(path.name == "labelme" for path in written):
        show(f"look at them and correct them: seg annotate {typed(report.root)}")


def _a_few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _as_seen_from_here(folder: str) -> Path:
    path = Path(folder)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _written(root: Path) -> list[Path]:
    found = [root / kind for kind in known_kinds() if (root / kind).is_dir()]
    return found + sorted(path for kind in known_kinds() for path in root.glob(f"{kind}.*") if path.is_file())
