"""All that is settled before a model is loaded. What can be refused without torch is refused here."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from toolkit.engines import ENGINES
from toolkit.engines.precision import require_precision
from toolkit.errors import CheckpointError, DataError, UsageError
from toolkit.prediction.folder.beginning import as_begun
from toolkit.prediction.folder.manifest import require_same_pictures
from toolkit.prediction.kinds import LABELME, Kinds, require_kinds
from toolkit.prediction.options import require_frames
from toolkit.prediction.request import PredictRequest
from toolkit.prediction.share import Shard
from toolkit.prediction.sources import Sources, find_sources
from toolkit.runs.folder import RUNS, RunFolder, numbered_runs
from toolkit.runs.manifest import read_manifest

_DEVICE = re.compile(r"auto|cpu|mps|npu|[0-9]{1,3}|(cuda|gpu)([:.][0-9]{1,3})?", re.IGNORECASE)


@dataclass(frozen=True)
class Plan:
    """What is to be done: what was asked for, and what was found for it.

    request      with the words of the beginning, of a run that is gone on with
    checkpoint   what `run` or `weights` name
    out          None: the next `runs/predict-N`
    """

    request: PredictRequest
    sources: Sources
    kinds: Kinds
    checkpoint: Path
    out: Path | None
    shard: Shard | None

    @property
    def may_skip(self) -> bool:
        """Whether a picture next to which a labelme file stays need not be predicted.

        Of one that is gone on with, a file that is there may have been written just before it was stopped, and only a new
        prediction tells; where predictions are renewed, those that stay are not of this run in any case.
        """
        request, alone = self.request, self.kinds.all == (LABELME,)
        return alone and request.beside and (request.renew or not (request.overwrite or request.resume))


def make_plan(request: PredictRequest) -> Plan:
    """Look for the sources and the checkpoint and see that everything goes together; nothing is written.

    Raises DataError, CheckpointError or UsageError, as `toolkit.prediction.run.predict` does.
    """
    if request.run is not None and request.weights is not None:
        raise UsageError("run and weights both name a checkpoint. Give one of them.")
    shard = None if request.shard is None else Shard.parse(request.shard)
    folder = None if request.out is None else Path(request.out)
    if shard is not None and folder is None:
        raise UsageError("shard: the shards write into one folder; name it with out (--out).")
    goes_on, named = False, bool(request.sources)
    if request.resume:
        folder = _newest_unfinished() if folder is None else folder
        goes_on = shard is None or read_manifest(folder) is not None  # the first job of an array is sent as all are
        request = as_begun(request, folder) if goes_on else request
    elif folder is not None and shard is None:
        _require_empty(folder)
    require_frames(request.every, request.frames)
    if request.engine != "auto":
        ENGINES.entry(request.engine)
    if request.save is not None:
        require_kinds(request.save)
    require_precision(request.precision)
    require_devices(request.device)
    checkpoint = _checkpoint(request.run, request.weights)
    found = find_sources(request.sources, without=folder)
    if goes_on and named and shard is None and folder is not None:  # shards may find them elsewhere on each machine
        require_same_pictures(folder, found.root)
    films = found.films
    kinds = Kinds.chosen(request.save, pictures=films < len(found), films=films > 0)
    if not goes_on:
        request.writing.require_used(kinds.all)
    if request.beside and LABELME not in kinds.pictures:
        raise UsageError("beside: only labelme files are written next to pictures. Add labelme to what is saved.")
    for word, given in (("overwrite", request.overwrite), ("renew", request.renew)):
        if given and not request.beside:
            raise UsageError(f"{word}: is for labelme files next to pictures, and goes with beside (--beside).")
    if request.overwrite and request.renew:
        raise UsageError(
            "overwrite and renew: the one replaces all labelme files next to pictures, the other predictions that nobody "
            "has looked at. Give one of them."
        )
    if films == 0 and (request.every != 1 or request.frames is not None):
        raise UsageError(
            f"{'every' if request.every != 1 else 'frames'}: is for films and cameras, and there is none here."
        )
    return Plan(request, found, kinds, checkpoint, folder, shard)


def require_devices(device: str) -> None:
    """Raise UsageError if one of several devices can be none: their processes need not be started then."""
    named = [name.strip() for name in device.split(",")]
    wrong = [name for name in named if not _DEVICE.fullmatch(name)]
    if len(named) > 1 and wrong:
        raise UsageError(f"device: '{wrong[0]}' in '{device}' is none. Name one for each process: cpu,cpu or 0,1.")


def _checkpoint(run: Path | str | None, weights: Path | str | None) -> Path:
    if weights is not None:
        path = Path(weights)
        if not os.path.lexists(path):
            raise CheckpointError(f"{path}: there is no such checkpoint.")
        return path
    return RunFolder.best_of(run)


def _require_empty(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(
            f"{path}: exists and is not an empty folder. Choose another one or remove it, or go on with what was begun "
            "there: --continue."
        )


def _newest_unfinished() -> Path:
    for path in numbered_runs("predict"):
        values = read_manifest(path)
        if values is not None and values.get("finished") is False:
            return path
    raise DataError(f"nothing in {RUNS} to go on with: no prediction there was stopped. Name one with --out.")
