"""seg models"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.console import show, show_json

if TYPE_CHECKING:
    from toolkit.models.entry import ModelEntry


def models(
    name: Annotated[
        str | None,
        typer.Argument(
            help="One model, with its parameters if you like: what it is and takes. [default: a table of all]",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[int, typer.Option(min=2, max=255, help="With a name: classes.")] = 21,
    size: Annotated[int, typer.Option(min=32, max=32_768, help="With a name: side of the picture, in pixels.")] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the models that seg train can use."""
    from toolkit.models import MODELS
    from toolkit.models.entry import DOORS

    if name is None:
        rows = {name: _facts(MODELS.entry(name)) for name in MODELS}
        show_json(rows) if as_json else show(_table(rows, {how: entry.summary for how, entry in DOORS.items()}))
        return
    from toolkit.models.entry import CLASSES, SIZE, choose_model

    entry = choose_model(name, MODELS).entry
    facts = _facts(entry) | {"classes": classes, "size": size}
    if name not in MODELS or (classes, size) != (CLASSES, SIZE):
        from toolkit.models.figures import figures  # takes seconds

        found = figures(name, classes=classes, size=size)
        facts |= {"parameters": found.parameters, "gflops": round(found.gflops, 1), "stride": found.stride}
    if as_json:
        show_json({name: facts})
        return
    show(f"{name}: {entry.summary}")
    show(f"source:      {entry.source or '-'}")
    show(f"takes:       {'; '.join(facts['options']) or 'no parameters'}")
    also = [
        f"--{option}" for option, offered in (("width", entry.has_width), ("upscale", entry.has_upscale)) if offered
    ]
    show(f"             {' and '.join(also)}" if also else "             neither --width nor --upscale")
    if entry.target == MODELS.entry("unet").target and entry.given:
        given = dict(entry.given)
        width = f" --width {given.pop('width')}" if "width" in given else ""
        show(f"the same as: --model unet:{','.join(f'{key}={value}' for key, value in given.items())}{width}")
    show(f"parameters:  {facts['parameters']:,} at {classes} classes")
    show(
        f"computes:    {facts['gflops']:,.1f} GFLOP for {size} x {size} pixels (a multiplication and an addition are two)"
    )
    show(f"stride:      {facts['stride']}")


def _facts(entry: "ModelEntry") -> dict[str, Any]:
    return {
        "summary": entry.summary,
        "source": entry.source,
        "parameters": entry.parameters,
        "gflops": entry.gflops,
        "stride": entry.stride,
        "options": [str(option) for option in entry.options],
        "width": entry.has_width,
        "upscale": entry.has_upscale,
    }


def _table(rows: dict[str, dict[str, Any]], doors: dict[str, str]) -> str:
    wide = max(map(len, rows))
    lines = [f"{'name':<{wide}}  parameters  GFLOPs  stride  source"]
    for name, facts in rows.items():
        millions = f"{facts['parameters'] / 1e6:.1f} M"
        lines.append(
            f"{name:<{wide}}  {millions:>10}  {facts['gflops']:>6.0f}  {facts['stride']:>6}  {facts['source']}"
        )
    lines += ["", *(f"{how}  {summary}" for how, summary in doors.items())]
    lines.append("(at 21 classes; GFLOPs for 512 x 512 pixels; more of one: seg models NAME)")
    return "\n".join(lines)
