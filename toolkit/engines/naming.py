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


def main_of(path: Path) -> Path | None:
    """The file that is named instead of `path` if that is a companion of it: NAME.xml of NAME.bin. None: it is none."""
    if format_of(path) is not None:
        return None
    ends = [(end, FORMATS.entry(name).suffix) for name in FORMATS for end in FORMATS.entry(name).companions]
    for end, suffix in sorted(ends, key=lambda pair: -len(pair[0])):  # .ncnn.bin before .bin
        if path.name.lower().endswith(end) and len(path.name) > len(end):
            return path.with_name(path.name[: -len(end)] + suffix)
    return None


def weights_of(path: Path) -> Path:
    """Where an .xml file's weights are, and those of an .onnx file if they did not fit into it."""
    return path.with_suffix(".bin") if path.suffix.lower() == ".xml" else path.with_name(f"{path.name}.data")


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
