"""OUT/manifest.json: with what a run was begun, so that it is gone on with in the same way, and what came out."""

import json
import os
from pathlib import Path
from typing import Any

import toolkit
from toolkit.errors import DataError, UsageError
from toolkit.files import write_text
from toolkit.runs.manifest import MANIFEST, read_manifest

_MAY_DIFFER = ("batch",)
"""Options that change how quickly a run goes, and of what it writes the last digits at most: a batch that the memory does
not hold must not be the end of a run."""

_WORDS = {
    "checksum": "the checkpoint",
    "classes": "the classes",
    "engine": "engine and precision",
    "save": "what is saved",
}


def is_result(folder: str) -> bool:
    """Whether `seg predict` wrote its results into this folder."""
    path = os.path.join(folder, MANIFEST)  # noqa: PTH118
    if not os.path.isfile(path):  # noqa: PTH113  (of each folder of a large tree)
        return False
    values = read_manifest(Path(folder))
    return values is not None and "sources" in values


def write_manifest(root: Path, values: dict[str, Any]) -> None:
    """Write the file, atomically."""
    text = json.dumps({"seg": toolkit.__version__, **values}, indent=2, ensure_ascii=False)
    write_text(root / MANIFEST, f"{text}\n")


def read_beginning(root: Path) -> dict[str, Any]:
    """What the file says of a run that can be gone on with. Raises DataError if none was begun."""
    begun = read_manifest(root)
    if begun is None or "checksum" not in begun:
        raise DataError(
            f"{root}: nothing to go on with: {MANIFEST} is missing or of an older version. Choose another --out."
        )
    return begun


def require_same(root: Path, now: dict[str, Any], usual: dict[str, Any]) -> None:
    """Raise UsageError if the run in `root` was begun with other settings than these; DataError if none was begun.

    usual   every option at its default: what an older version did, which did not know it yet
    What `now` does not hold is not compared, but for `options`, which it does.
    """
    begun = read_beginning(root)
    now = json.loads(json.dumps(now))  # lists for tuples, as in the file
    for key, words in _WORDS.items():
        if key in begun and key in now and begun[key] != now[key]:
            was, given = begun[key], now[key]
            if key == "checksum":
                was, given = begun.get("checkpoint"), f"{now.get('checkpoint')}{_changed(begun, now)}"
            raise refusal(root, words, was, given)
    if begun.get("shards") and now.get("shards"):
        _require_same_shards(root, begun["shards"], now["shards"])
    require_same_options(root, begun.get("options"), now["options"], usual)


def require_same_options(root: Path, was: Any, now: dict[str, Any], usual: dict[str, Any]) -> None:
    """Raise UsageError if one of the options that are given now had another value; `usual` as for `require_same`."""
    if not isinstance(was, dict):
        return
    now = json.loads(json.dumps(now))
    was = json.loads(json.dumps(usual)) | was
    for key in now:
        if key not in _MAY_DIFFER and was[key] != now[key]:
            raise refusal(root, key.replace("_", "-"), was[key], now[key])


def require_same_pictures(root: Path, pictures: str | None) -> None:
    """Raise UsageError if the run in `root` was begun with the pictures of another folder: those of the same name would
    count as predicted.

    pictures   as `Sources.root`
    """
    begun = read_beginning(root)
    if "root" in begun and begun["root"] != pictures:
        raise UsageError(
            f"{root}: was begun with what is in {_folder(begun['root'])}, now it is what is in {_folder(pictures)}. To go "
            "on there, name the same or no sources; to predict these, leave out --continue."
        )


def _folder(pictures: object) -> object:
    return "no folder" if pictures is None else pictures


def _require_same_shards(root: Path, was: Any, now: dict[str, Any]) -> None:
    if was == now:
        return
    was = was if isinstance(was, dict) else {}
    if was.get("of") != now["of"]:
        said = f"was begun as {was.get('of')} shards, now there are {now['of']}"
    elif was.get("sources") != now["sources"]:
        said = f"the first shard found {was.get('sources')} sources, this one finds {now['sources']}"
    else:
        said = "this shard finds other pictures than the first one did, or calls them otherwise"
    raise UsageError(f"{root}: {said}. Give all shards the same, or another --out.")


def _changed(begun: dict[str, Any], now: dict[str, Any]) -> str:
    return " (its content has changed)" if begun.get("checkpoint") == now.get("checkpoint") else ""


def refusal(root: Path, what: str, was: object, now: object) -> UsageError:
    """The error for something that is given otherwise than it was."""
    shown = tuple(_shown(each) for each in (was, now))
    return UsageError(
        f"{root}: was begun otherwise: {what} was {shown[0]}, now it is {shown[1]}. Give the same, or another --out."
    )


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_shown(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "not given" if value is None else str(value)
