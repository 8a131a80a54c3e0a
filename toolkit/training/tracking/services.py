"""Which services can be asked for, and whether their libraries are here."""

import importlib.util
import os

from toolkit.errors import UsageError, unknown_name

LIBRARIES: dict[str, tuple[str, ...]] = {"tensorboard": ("tensorboard",), "wandb": ("wandb",), "mlflow": ("mlflow",)}
"""Service -> what must be installed for it."""

_MLFLOW_STORE = ("sqlalchemy", "alembic")  # of its own database; a server needs neither here


def check_track(choice: str) -> tuple[str, ...]:
    """`tensorboard,wandb` -> the names, each once; `none` -> (). Imports nothing.

    Raises UsageError for an unknown name, with the closest known one, and for one whose library is not installed.
    """
    names = tuple(dict.fromkeys(name.strip().casefold() for name in choice.split(",")))
    if names == ("none",):
        return ()
    if "none" in names:
        raise UsageError(f"track: none goes with no other name, got '{choice}'. Leave it out.")
    for name in names:
        if name not in LIBRARIES:
            raise unknown_name("track:", name, ("none", *LIBRARIES))
        needed = LIBRARIES[name]
        if name == "mlflow" and not os.environ.get("MLFLOW_TRACKING_URI"):
            needed += _MLFLOW_STORE
        missing = [library for library in needed if not _is_installed(library)]
        if missing:
            raise UsageError(
                f"track: {name} needs {' and '.join(missing)}, not installed here. Install with: uv sync --extra track "
                'or: pip install "seg-toolkit[track]"'
            )
    return names


def _is_installed(library: str) -> bool:
    spec = importlib.util.find_spec(library)
    return spec is not None and spec.origin is not None  # W&B leaves folders "wandb", which look like packages
