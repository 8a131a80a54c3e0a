"""seg models"""

from typing import Annotated

import typer

from toolkit.cli.console import show, show_json


def models(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the models that seg train can use."""
    from toolkit.models import MODELS

    table = {name: MODELS.entry(name).summary for name in MODELS}
    if as_json:
        show_json(table)
    else:
        width = max(map(len, table))
        show("\n".join(f"{name:<{width}}  {summary}" for name, summary in table.items()))
