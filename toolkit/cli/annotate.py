"""seg annotate"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.console import complain, show, spare_blas_threads, typed

if TYPE_CHECKING:
    from toolkit.annotating.session import Session


def annotate(
    where: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of pictures or annotations, a picture, an annotation, or a prediction. "
            "[default: the newest runs/predict-N]",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="List of labels to offer. [default: of the prediction, the folder, the dataset or the newest run]",
            show_default=False,
        ),
    ] = None,
    any_label: Annotated[
        bool, typer.Option("--any-label", help="Let labelme accept other labels than those, too.")
    ] = False,
    only_print: Annotated[
        bool, typer.Option("--print", help="Show the command that would be started, and start nothing.")
    ] = False,
) -> None:
    """Open labelme with the dataset's labels, to annotate pictures or to correct predictions."""
    spare_blas_threads()
    from toolkit.annotating import program
    from toolkit.annotating.session import changed_since, link_pictures, plan, states, states_astray

    labelme = program.find_program()
    session = plan(where, labels)
    if only_print:
        words = program.command(labelme, session, any_label=any_label)
        _warn(session, labelme, any_label=any_label)
        if session.links:
            complain(f"would first link {len(session.links)} pictures beside their annotations in {session.path}")
        show(typed(*words))
        return
    with program.label_file(session) as file:
        words = program.command(labelme, session, any_label=any_label, labels=file)
        program.require_display()
        _warn(session, labelme, any_label=any_label)
        if made := link_pictures(session.links):
            complain(f"linked {made} pictures beside their annotations in {session.path}")
        count = len(session.annotations)
        offered = f"labels of {session.labels_from}" if session.labels_from is not None else "no list of labels"
        complain(f"labelme opens {session.path}: {count} annotation{'' if count == 1 else 's'}, {offered}")
        before, before_astray = states(session), states_astray(session)
        program.start(words)
    changed = changed_since(session, before)
    astray = [path for path, state in states_astray(session).items() if before_astray.get(path) != state]
    if astray:
        meant = f"as {session.path}" if session.path in session.annotations else f"in {session.folder}"
        complain(
            f"warning: {astray[0]}{f' and {len(astray) - 1} more' if len(astray) > 1 else ''}: saved beside the picture, "
            f"not {meant}: labelme was set to save automatically. Switch that off in its menu File or in "
            "its settings."
        )
    if changed:
        files = "annotation was" if len(changed) == 1 else "annotations were"
        words = ["seg", "convert", str(session.folder), "--update", "--only-reviewed"]
        show(f"{len(changed)} {files} changed. To learn from them: {typed(*words)}")


def _warn(session: "Session", labelme: str, *, any_label: bool) -> None:
    """Say what labelme will not show, and where it will take any label."""
    from toolkit.annotating import program

    if session.gone:
        complain(
            f"warning: {', '.join(map(str, session.gone[:3]))}: newer, but the pictures next to which the annotations lie "
            "are not where they were. Name their folder to open them: seg annotate FOLDER"
        )
    if session.lost:
        more = f", nor beside {len(session.lost) - 1} others" if len(session.lost) > 1 else ""
        complain(f"warning: {session.lost[0]}: no picture of that name is beside it{more}: labelme will not show it.")
    if session.full_names and (release := program.release_of(labelme)) < program.FULL_NAMES:
        path = session.full_names[0]
        more = (
            f" and {len(session.full_names) - 1} other{'s' if len(session.full_names) > 2 else ''}"
            if len(session.full_names) > 1
            else ""
        )
        this = f"labelme {'.'.join(map(str, release))}" if release else "this labelme"
        needed = ".".join(map(str, program.FULL_NAMES))
        complain(
            f"warning: {path}{more}: {this} opens the picture without it, because it looks for "
            f"{Path(path.stem).stem}.json; {needed} finds both. Install that, or open the annotation itself: "
            f"seg annotate {typed(path)}"
        )
    if session.labels is None and not any_label:
        complain(
            "warning: no list of labels was found, so labelme takes whatever is typed, typing errors too. "
            "Name one: --labels FILE"
        )
