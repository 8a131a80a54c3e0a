"""What `seg predict` says when it is done: shares of the classes, where everything lies, what comes next."""

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.console import show, typed
from toolkit.prediction.folder.standing import IN_PART
from toolkit.prediction.kinds import known_kinds

if TYPE_CHECKING:
    from toolkit.prediction.report import PredictReport

_NAMED = 3  # files that are named on the terminal; the manifest names all


def show_report(report: "PredictReport") -> None:
    """Show what was predicted."""
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
    in_part = sum(failure.code == IN_PART for failure in report.failures)
    unread = len(report.failures) - in_part
    failed = f", {unread} could not be read" if unread else ""
    failed += f", {in_part} {'film' if in_part == 1 else 'films'} only in part" if in_part else ""
    show(f"{' and '.join(done) or 'nothing'} predicted with {report.checkpoint} ({report.engine}){failed}")
    if report.continued:
        nothing = "nothing was left to do: " if report.continued == report.sources else ""
        show(f"{nothing}{report.continued} of {report.sources} were finished before")
    elif report.kept and not (report.images or report.frames or report.failures):
        show("nothing was left to do")
    if report.renewed:
        predictions, were = ("prediction", "was") if report.renewed == 1 else ("predictions", "were")
        show(f"{report.renewed} {predictions} that nobody had looked at {were} renewed")
    if report.replaced:
        files, were = ("file", "was") if len(report.replaced) == 1 else ("files", "were")
        show(
            f"{len(report.replaced)} labelme {files} that somebody had made or looked at {were} replaced: "
            f"{_a_few(report.replaced)}"
        )
    if report.kept:
        were = "file was there and stays as it is" if len(report.kept) == 1 else "files were there and stay as they are"
        show(f"{len(report.kept)} labelme {were}: {_a_few(report.kept)}")
    if not report.finished:
        show(f"this part is finished; tables and the manifest in {report.root} come with the last of the others")
    written = [str(path) for path in _written(report.root)]
    next_to_them = report.beside and report.pictures is not None and (report.images or report.kept)
    if next_to_them and report.images:
        written.append("labelme files next to the pictures")
    show(f"results: {', '.join(written) or report.root}")
    if next_to_them:
        show(f"look at them and correct them: seg annotate {typed(_as_seen_from_here(report.pictures or ''))}")
    elif (report.root / "labelme").is_dir():
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
