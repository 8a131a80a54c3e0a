"""One prediction -> its files, and what the journal keeps of it."""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.errors import DataError
from toolkit.prediction.folder.beside import Places, There, what_is_there
from toolkit.prediction.folder.journal import Line
from toolkit.prediction.kinds import LABELME, VIDEO
from toolkit.prediction.plan import Plan
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.sources import Source
from toolkit.prediction.tables import TABLES
from toolkit.prediction.tables.row import Table
from toolkit.prediction.writers import WRITERS
from toolkit.voc.overlay import overlay

Writer = Callable[..., Path]


@dataclass(frozen=True)
class Job:
    """A picture to predict, or a frame.

    index   of the source
    frame   its number in the film; None: a picture
    image   uint8 (H, W, 3) RGB of a frame; a picture is read later
    fps     of the film as it is taken
    error   why there is no picture: a film that cannot be opened or breaks off
    """

    index: int
    source: Source
    frame: int | None = None
    image: npt.NDArray[np.uint8] | None = None
    fps: float = 0.0
    error: DataError | None = None

    @property
    def name(self) -> str:
        return self.source.label if self.frame is None else f"{self.source.label}/{self.frame:06d}"


@dataclass(frozen=True)
class Done:
    """What came of a job.

    line    for the journal: all its files are complete
    shown   uint8 (H, W, 3) RGB for the film, where there is to be one
    """

    line: Line
    shown: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class _Beside:
    """What became of the labelme file next to a picture, as `Line` has it."""

    written: str | None = None
    kept: tuple[str, ...] = ()
    replaced: str | None = None
    renewed: bool = False


class Outputs:
    """Writes what is to be written. Several threads may use it at a time."""

    def __init__(self, plan: Plan, root: Path) -> None:
        self._plan, self._request, self._root = plan, plan.request, root
        self._writing = plan.request.writing
        self._places = Places()
        kinds = plan.kinds
        self._writers: dict[str, Writer] = {kind: WRITERS.load(kind) for kind in kinds.all if kind in WRITERS}
        self._tables: dict[str, Table] = {kind: TABLES.load(kind) for kind in kinds.tables}

    def finish(self, job: Job, prediction: Prediction) -> Done:
        """Write all files of a prediction."""
        kinds = self._plan.kinds.pictures if job.frame is None else self._plan.kinds.frames
        files: dict[str, str] = {}
        beside = _Beside()
        kept: tuple[str, ...] = ()
        source = job.source.path if job.frame is None else None
        for kind in kinds:
            write = self._writers.get(kind)
            if write is None:
                continue
            base = self._root / kind / PurePosixPath(job.name)
            if kind == LABELME and self._request.beside and source is not None:
                beside = self._write_beside(write, prediction, job.source)
                kept = beside.kept
                continue
            if kind == LABELME and self._request.resume:  # a person may have corrected it since
                path = base.with_name(f"{base.name}.json")
                if not self._write_labelme(write, prediction, source, path):
                    kept = (as_written(path),)
            else:
                path = write(prediction, source, base, self._writing)
            files[kind] = path.relative_to(self._root).as_posix()
        line = Line(
            name=job.name,
            source=job.source.place,
            size=prediction.size,
            frame=job.frame,
            files=files,
            beside=beside.written,
            kept=kept,
            replaced=beside.replaced,
            renewed=beside.renewed,
            pixels=_pixels(prediction),
            sureness=prediction.sureness,
            tables={kind: self._tables[kind].record(prediction, self._writing) for kind in kinds if kind in TABLES},
        )
        return Done(line, self._shown(prediction) if VIDEO in kinds else None)

    def stays_beside(self, source: Source) -> str | None:
        """The labelme file next to a picture, as the journal names it, if it stays whatever is predicted."""
        path = self._places.of(source)
        stays = what_is_there(path) is There.SOMEBODYS if self._request.renew else os.path.lexists(path)
        return as_written(path) if stays else None

    def _write_beside(self, write: Writer, prediction: Prediction, source: Source) -> "_Beside":
        path, request = self._places.of(source), self._request
        name = as_written(path)
        # looked at just before it is written: somebody may be correcting while others are predicted
        there = what_is_there(path) if request.overwrite or request.renew else There.NOTHING
        replace = request.overwrite or there is There.PREDICTION
        if not self._write_labelme(write, prediction, source.path, path, replace=replace):
            return _Beside(kept=(name,))
        return _Beside(name, (), name if there is There.SOMEBODYS else None, renewed=there is There.PREDICTION)

    def _write_labelme(
        self, write: Writer, prediction: Prediction, source: Path | None, path: Path, *, replace: bool = False
    ) -> bool:
        """Whether it was written: another one that is there stays."""
        base = path.with_name(path.name.removesuffix(".json"))
        if replace or not os.path.lexists(path):
            write(prediction, source, base, self._writing)
            return True
        if not self._request.resume:
            return False
        # it may be the one that was written just before this run was stopped: then it has the same bytes
        if source is None:  # a frame's names the picture beside it, so that its name has to be the same
            with tempfile.TemporaryDirectory() as folder:
                again: Path = write(prediction, source, Path(folder, base.name), self._writing)
                picture = f"{base.name}.jpg"
                if not os.path.lexists(base.with_name(picture)):
                    shutil.copyfile(Path(folder, picture), base.with_name(picture))
                return again.read_bytes() == _content(path)
        again = write(prediction, source, path.with_name(f".{os.urandom(8).hex()}.partial"), self._writing)
        try:
            return again.read_bytes() == _content(path)
        finally:
            again.unlink(missing_ok=True)

    def _shown(self, prediction: Prediction) -> npt.NDArray[np.uint8]:
        writing = self._writing
        return overlay(
            prediction.image, prediction.mask, prediction.classes, opacity=writing.opacity, outline=writing.outline
        )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return None


def _pixels(prediction: Prediction) -> tuple[int, ...]:
    counts: list[Any] = Image.fromarray(prediction.mask).histogram()  # numpy's bincount takes 8 bytes a pixel
    return tuple(map(int, counts[: len(prediction.classes)]))


def as_written(path: Path) -> str:
    """A path in the journal and in reports: with forward slashes."""
    return path.as_posix()
