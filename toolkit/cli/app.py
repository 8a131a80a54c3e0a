"""The `seg` program: its subcommands, and the one place where errors become messages and exit codes."""

import os
import sys
from typing import Annotated

import typer

import toolkit
from toolkit.cli import annotate, bench, check, convert, demo, export, models, predict, split, stats, train, weights
from toolkit.cli.console import complain, show
from toolkit.cli.panels import GroupedCommand
from toolkit.errors import SegError, StoppedWithOthers

app = typer.Typer(
    name="seg",
    help="From a folder annotated with labelme to a trained segmentation model and its predictions.",
    epilog="In an empty folder: seg convert LABELME_DIR; seg split; seg train --class-weights auto; seg predict IMAGES",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help needs a third of the time to start
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("convert")(convert.convert)
app.command("check")(check.check)
app.command("split")(split.split)
app.command("train")(train.train)
app.command("predict", cls=GroupedCommand)(predict.predict)
app.command("annotate")(annotate.annotate)
app.command("export")(export.export)
app.command("bench")(bench.bench)
app.command("demo")(demo.demo)
app.command("models")(models.models)
app.command("stats")(stats.stats)
app.command("weights")(weights.weights)


def _version(asked: bool) -> None:
    if asked:
        show(f"seg {toolkit.__version__}")
        raise typer.Exit


@app.callback()
def _seg(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run `seg` with the arguments of the process and exit with its code."""
    try:
        app(prog_name="seg")
    except StoppedWithOthers as error:
        sys.exit(error.exit_code)
    except SegError as error:
        complain(f"seg: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        complain("seg: stopped.")
        sys.exit(130)
    except SystemExit as end:
        if end.code == 130:  # typer turned Ctrl-C into an exit
            complain("seg: stopped.")
        raise
    except MemoryError:
        complain("seg: out of memory. Use a smaller --batch or --size, or fewer --workers.")
        sys.exit(1)
    except Exception as error:
        if os.environ.get("SEG_DEBUG"):
            raise
        complain(f"seg: an error that should not be: {type(error).__name__}: {error}")
        complain("Please report it with the traceback that SEG_DEBUG=1 shows.")
        sys.exit(1)
