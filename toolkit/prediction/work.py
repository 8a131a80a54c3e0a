"""The share of one process: sources -> predictions -> files, with a line in the journal for each."""

from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import numpy.typing as npt

from toolkit.errors import DataError
from toolkit.prediction.films.frames import Frames, ahead, count_frames
from toolkit.prediction.films.in_work import FilmInWork
from toolkit.prediction.folder.journal import Journal, Line
from toolkit.prediction.outputs import Done, Job, Outputs
from toolkit.prediction.plan import Plan
from toolkit.prediction.predictor import Predictor
from toolkit.prediction.sources import Source
from toolkit.prediction.stream import stream
from toolkit.progress import Progress
from toolkit.voc.pixels import read_image


class Work:
    """What one process has to do.

    todo          indices of its sources that are not done yet, in order; asked for twice
    should_stop   asked before each picture and frame; what is begun is finished then
    """

    def __init__(
        self,
        plan: Plan,
        outputs: Outputs,
        journal: Journal,
        todo: Callable[[], Iterator[int]],
        should_stop: Callable[[], bool],
        progress: Progress,
    ) -> None:
        self.stopped = False
        """Whether it ended before its time. A camera has none: that it was asked to stop is how it ends."""
        self.told: set[str] = set()
        """Places whose failure was told."""
        self._plan, self._request = plan, plan.request
        self._outputs, self._journal = outputs, journal
        self._todo, self._should_stop, self._progress = todo, should_stop, progress
        self._root = journal.path.parent
        self._film: FilmInWork | None = None
        self._film_index = -1

    def do(self, predictor: Predictor) -> None:
        """Predict everything. Raises SegError if something cannot be written or the memory is too small."""
        kinds = self._plan.kinds
        outcomes = stream(
            predictor,
            self._jobs(),
            read=_picture,
            finish=self._outputs.finish,
            confidence=kinds.confidence,
            probabilities=kinds.probabilities,
            progress=self._progress,
        )
        try:
            try:
                with closing(outcomes):  # type: ignore[type-var]
                    for job, outcome in self._progress.track(outcomes, "Predicting", self._total()):
                        self._take(job, outcome)
            except KeyboardInterrupt:
                if not self._has_camera:
                    raise
            if self.stopped:
                self._give_up_film()
            else:
                self._end_film()
        finally:
            self._give_up_film()

    @property
    def _has_camera(self) -> bool:
        return self._film is not None and self._film.source.camera is not None

    def _jobs(self) -> Iterator[Job]:
        for index in self._todo():
            if self._should_stop():
                self.stopped = True
                return
            source = self._plan.sources[index]
            if not source.has_frames:
                yield Job(index, source)
                continue
            yield from self._frames_of(index, source)
            if self.stopped:
                return

    def _frames_of(self, index: int, source: Source) -> Iterator[Job]:
        try:
            frames = Frames(source, every=self._request.every, most=self._request.frames)
        except DataError as error:
            yield Job(index, source, error=error)
            return
        fps = frames.fps
        with closing(ahead(frames.__iter__)) as taken:  # type: ignore[type-var]
            for number, image in taken:
                if self._should_stop():
                    self.stopped = source.camera is None
                    return
                yield Job(index, source, number, image, fps)
        if frames.damage is not None:
            yield Job(index, source, error=DataError(frames.damage))

    def _total(self) -> int | None:
        total = 0
        for index in self._todo():
            source = self._plan.sources[index]
            if source.camera is not None:
                return self._request.frames
            pieces = count_frames(source, self._request.every, self._request.frames) if source.is_film else 1
            if pieces is None:
                return None
            total += pieces
        return total

    def _take(self, job: Job, outcome: Done | DataError) -> None:
        if self._film is not None and self._film_index != job.index:
            self._end_film()
        if self._film is None and job.source.has_frames:
            self._film, self._film_index = FilmInWork(self._root, job.source), job.index
        if isinstance(outcome, DataError):
            self._fail(job.source, str(outcome).removeprefix(f"{job.source.path}: "))
            return
        if self._film is not None:
            self._film.add(job, outcome)
        self._journal.add(outcome.line)

    def _fail(self, source: Source, reason: str) -> None:
        if self._film is not None:
            self._end_film(reason)
            return
        self._journal.add(Line(source.label, source.place, failure=reason))
        if len(self._plan.sources) > 1:  # of one alone, the error says it
            self._tell(source, f"{reason} Skipped.")

    def _end_film(self, failure: str | None = None) -> None:
        if self._film is not None:
            line = self._film.end(failure)
            self._journal.add(line)
            if line.failure is not None and (line.frames or len(self._plan.sources) > 1):
                self._tell(self._film.source, line.failure)
            self._film = None

    def _tell(self, source: Source, what: str) -> None:
        self.told.add(source.place)
        self._progress.warn(f"{source.place}: {what}")

    def _give_up_film(self) -> None:
        if self._film is not None:
            self._film.abort()
            self._film = None


def _picture(job: Job) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 3) RGB, upright. Raises DataError for what cannot be read."""
    if job.error is not None:
        raise job.error
    if job.image is not None:
        return job.image
    try:
        return read_image(job.source.path)
    except DataError:
        if job.source.path.is_dir():
            raise DataError("is a folder; a list holds files. Name the folder itself.") from None
        raise
