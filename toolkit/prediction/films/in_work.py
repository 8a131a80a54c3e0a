"""Predicted frames -> the film of them, and the film's own line in the journal."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from toolkit.errors import DataError
from toolkit.prediction.films.writer import FilmWriter
from toolkit.prediction.folder.journal import Line
from toolkit.prediction.kinds import VIDEO
from toolkit.prediction.outputs import Done, Job
from toolkit.prediction.sources import Source

_WAITING = 4  # frames that wait to be encoded


class FilmInWork:
    """The film whose frames are coming in, in order. Frames are encoded in a thread, beside the network."""

    def __init__(self, root: Path, source: Source) -> None:
        self.source = source
        self._root = root
        self._frames = 0
        self._film: FilmWriter | None = None
        self._refused: str | None = None
        self._encoder: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()

    def add(self, job: Job, done: Done) -> None:
        """Take a frame. Raises SegError if the film cannot be written."""
        self._frames += 1
        if done.shown is None or self._refused is not None:
            return
        if self._film is None or self._encoder is None:
            path = self._root / VIDEO / PurePosixPath(f"{self.source.label}.mp4")
            try:
                self._film = FilmWriter(path, job.fps, (done.shown.shape[0], done.shown.shape[1]))
            except DataError as error:  # larger than films can be; the files of its frames are made all the same
                self._refused = str(error)
                return
            self._encoder = ThreadPoolExecutor(1, "encoding")
        self._waiting.append(self._encoder.submit(self._film.add, done.shown))
        while len(self._waiting) > _WAITING:
            self._waiting.popleft().result()

    def end(self, failure: str | None = None) -> Line:
        """Complete the film; returns its line. Of one that broke off, what there is stays."""
        files = {}
        if self._film is not None:
            self._wait()
            files[VIDEO] = self._film.close().relative_to(self._root).as_posix()
        return Line(
            name=self.source.label,
            source=self.source.place,
            frames=self._frames or None,
            files=files,
            failure=failure or self._refused,
        )

    def abort(self) -> None:
        """Give the film up; the files of its frames stay and are written again when the run goes on."""
        if self._encoder is not None:
            self._encoder.shutdown(wait=True, cancel_futures=True)
        if self._film is not None:
            self._film.abort()

    def _wait(self) -> None:
        while self._waiting:
            self._waiting.popleft().result()
        if self._encoder is not None:
            self._encoder.shutdown(wait=True)
