"""Help texts whose options stand in groups, also where they are plain text."""

from typing import Any

from typer.core import TyperCommand


class GroupedCommand(TyperCommand):
    """Shows each option under its `rich_help_panel`; typer does so only in its coloured help, which starts slowly."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then each group in the order of its first option, those without a group last."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        rest: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            shown = parameter.get_help_record(ctx)
            if shown is None:
                continue
            if parameter.param_type_name == "argument":
                groups["Arguments"].append(shown)
            else:
                panel = getattr(parameter, "rich_help_panel", None)
                (rest if panel is None else groups.setdefault(panel, [])).append(shown)
        for title, rows in {**groups, "Other": rest}.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
