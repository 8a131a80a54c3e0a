"""With what a run was begun -> the words that need not be given again when it is gone on with."""

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from toolkit.engines import ENGINES
from toolkit.engines.precision import PRECISIONS
from toolkit.errors import DataError, UsageError
from toolkit.prediction.folder.manifest import read_beginning, refusal, require_same_options
from toolkit.prediction.kinds import DEFAULT_OF_FILMS, DEFAULT_SAVE
from toolkit.prediction.options import PredictOptions
from toolkit.prediction.request import PredictRequest
from toolkit.prediction.sources import STANDARD_INPUT
from toolkit.prediction.writers.options import WriteOptions
from toolkit.runs.manifest import MANIFEST

T = TypeVar("T")


class _Own(msgspec.Struct):
    """Options that are words of the request itself."""

    every: int = 1
    frames: int | None = None


_NEXT_TO_PICTURES = ("beside", "renew")


def options_of(request: PredictRequest) -> dict[str, Any]:
    """What the manifest calls `options`."""
    own = {name: getattr(request, name) for name in (*_Own.__struct_fields__, *_NEXT_TO_PICTURES)}
    return {**asdict(request.options), **asdict(request.writing), **own}


USUAL = options_of(PredictRequest())
"""Every option at its default."""


def as_begun(request: PredictRequest, root: Path) -> PredictRequest:
    """The request with every word that is at its default as it was when the run in `root` was begun.

    The device is chosen anew. `allow_code`, `beside`, `renew` and `overwrite` are never taken from a file, which may be
    somebody else's: the one would run what it names, the others write next to the pictures that it names.

    Raises DataError if no run was begun there, or its manifest is damaged; UsageError for a word that is given otherwise.
    """
    begun = read_beginning(root)
    was, now = begun.get("options"), options_of(request)
    was = was if isinstance(was, dict) else {}
    given = {key: value for key, value in now.items() if value != USUAL[key]}
    require_same_options(root, was, given, USUAL)
    missing = [f"--{word}" for word in _NEXT_TO_PICTURES if was.get(word) and not now[word]]
    if missing:
        raise UsageError(f"{root}: was begun with {' '.join(missing)}, which is not remembered: give it again.")
    taken = {key: value for key, value in was.items() if key in now} | given
    own = _made(root, _Own, taken, _Own.__struct_fields__)
    engine, precision = _engine_of(begun, request, root)
    named = request.run is not None or request.weights is not None
    return replace(
        request,
        sources=request.sources or _sources_of(begun, root),
        weights=request.weights if named else _text(begun.get("checkpoint")),
        save=_save_of(begun) if request.save is None else request.save,
        options=_made(root, PredictOptions, taken, tuple(field.name for field in fields(PredictOptions))),
        writing=_made(root, WriteOptions, taken, tuple(field.name for field in fields(WriteOptions))),
        engine=engine,
        precision=precision,
        every=own.every,
        frames=own.frames,
    )


def _made(root: Path, kind: type[T], values: dict[str, Any], names: tuple[str, ...]) -> T:
    try:
        return msgspec.convert({name: values[name] for name in names if name in values}, kind)
    except (msgspec.ValidationError, UsageError) as error:
        raise DataError(f"{root}: its {MANIFEST} is damaged: {str(error).rstrip('.')}. Choose another --out.") from None


def _engine_of(begun: dict[str, Any], request: PredictRequest, root: Path) -> tuple[str, str]:
    """Engine and precision: what `auto` was settled to when the run was begun."""
    engine, _, precision = (_text(begun.get("engine")) or "").partition(", ")
    if engine not in ENGINES or precision not in PRECISIONS:
        return request.engine, request.precision
    for what, was, now in (("engine", engine, request.engine), ("precision", precision, request.precision)):
        if now not in ("auto", was):
            raise refusal(root, what, was, now)
    return engine, precision


def _save_of(begun: dict[str, Any]) -> tuple[str, ...] | None:
    """What was asked to be saved; None: what is usual."""
    kinds = begun.get("save")
    kinds = kinds if isinstance(kinds, dict) else {}
    pictures, frames = kinds.get("pictures", [*DEFAULT_SAVE]), kinds.get("frames", [*DEFAULT_OF_FILMS])
    if (pictures, frames) == ([*DEFAULT_SAVE], [*DEFAULT_OF_FILMS]):
        return None
    saved = frames if "frames" in kinds else pictures  # of frames, all that was asked for is written
    return tuple(map(str, saved)) if isinstance(saved, list) else None


def _sources_of(begun: dict[str, Any], root: Path) -> tuple[str, ...]:
    given = begun.get("sources")
    if not isinstance(given, list) or not given or not all(isinstance(item, str) for item in given):
        raise DataError(f"{root}: does not say what was to be predicted. Name the sources again.")
    if STANDARD_INPUT in given:
        raise DataError(f"{root}: its list came on standard input. Give it again, with - for the sources.")
    return tuple(given)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
