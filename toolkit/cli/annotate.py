"""seg annotate"""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.console import complain, show, spare_blas_threads, typed


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
            help="List of labels to offer. [default: of the prediction, the folder or the dataset]", show_default=False
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
    from toolkit.annotating.session import link_pictures, plan, states

    labelme = program.find_program()
    session = plan(where, labels)
    words = program.command(labelme, session, any_label=any_label)
    if not only_print:
        program.require_display()
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
    if only_print:
        if session.links:
            complain(f"would first link {len(session.links)} pictures beside their annotations in {session.path}")
        show(typed(*words))
        return
    if made := link_pictures(session.links):
        complain(f"linked {made} pictures beside their annotations in {session.path}")
    count = len(session.annotations)
    offered = f"labels of {session.labels_from}" if session.labels_from is not None else "no list of labels"
    complain(f"labelme opens {session.path}: {count} annotation{'' if count == 1 else 's'}, {offered}")
    before = states(session.folder)
    program.start(words)
    changed = [path for path, state in states(session.folder).items() if before.get(path) != state]
    if changed:
        files = "annotation was" if len(changed) == 1 else "annotations were"
        show(f"{len(changed)} {files} changed. To learn from them: seg convert {typed(session.folder)}")
