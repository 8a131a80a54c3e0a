"""Which files are models, and which belong to one, by the ends of their names. Torch-free."""

from pathlib import Path

from toolkit.engines import FORMATS
from toolkit.errors import CheckpointError


def ends_of(name: str) -> tuple[str, ...]:
    """How the main files of a format may end, in lower case."""
    entry = FORMATS.entry(name)
    return entry.suffix, *entry.others


def format_of(path: Path) -> str | None:
    """The name in FORMATS of a file, by the end of its name; None for any other, which is taken for a checkpoint."""
    name = path.name.lower()
    return next((entry for entry in FORMATS if name.endswith(ends_of(entry))), None)


def companions_of(main: Path) -> tuple[Path, ...]:
    """The other files of an exported model, be they there or not, that with the weights first. Of a checkpoint: none.

    The end of `main`'s name may be in any case and one of its format's `others`: those of NAME.param are called
    NAME.ncnn.bin and NAME.ncnn.json, as those of NAME.ncnn.param are.
    """
    kind = format_of(main)
    if kind is None:
        return ()
    length = next(len(end) for end in ends_of(kind) if main.name.lower().endswith(end))
    return tuple(main.with_name(main.name[:-length] + end) for end in FORMATS.entry(kind).companions)


def weights_of(main: Path) -> Path:
    """Where an .xml or .param file's weights are, and those of an .onnx file if they did not fit into it."""
    return companions_of(main)[0]


def main_of(path: Path) -> Path | None:
    """The file that is named instead of `path` if that is a companion of it: NAME.xml of NAME.bin. None: it is none.

    That which is there, of whatever case; else that which `seg export` would have written.
    """
    if format_of(path) is not None:
        return None
    ends = [(end, FORMATS.entry(name).suffix) for name in FORMATS for end in FORMATS.entry(name).companions]
    for end, suffix in sorted(ends, key=lambda pair: -len(pair[0])):  # .ncnn.bin before .bin
        if path.name.lower().endswith(end) and len(path.name) > len(end):
            usual = path.with_name(path.name[: -len(end)] + suffix)
            others = [] if usual.is_file() else [file for file in path.parent.glob("*") if path in companions_of(file)]
            return min(others, default=usual)
    return None


def refuse_companion(path: Path) -> None:
    """Raise CheckpointError, with what to name instead, for a file that is only a part of a model."""
    main = main_of(path)
    if main is None or not path.is_file():
        return
    if main.is_file():
        raise CheckpointError(f"{path}: belongs to {main.name}. Name that: {main}.")
    raise CheckpointError(
        f"{path}: is no model by itself, and {main.name}, to which such a file belongs, is not beside it. "
        "Copy it there and name it, or export the model again."
    )


def require_beside(main: Path, *others: Path) -> None:
    """Raise CheckpointError unless the files without which `main` cannot be used are there."""
    for other in others:
        if main.is_file() and not other.exists():
            together = ", ".join((main.name, *(path.name for path in others)))
            raise CheckpointError(
                f"{other}: cannot be read: there is no such file. {together} belong together: "
                f"copy it beside {main.name}, or export the model again."
            )
