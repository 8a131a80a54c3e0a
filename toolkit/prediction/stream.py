"""Reading, the network and writing beside each other, for many pictures in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from toolkit.errors import DataError
from toolkit.prediction.prediction import Prediction
from toolkit.progress import SILENT, Progress

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")
_THREADS = 4
_IN_MEMORY = 100_000_000  # bytes of pictures for each that is computed at a time; one that is larger is alone
_GROUPS_TO_CHOOSE_FROM = 2  # so many batches are looked at together, to find pictures of one shape


class Large(Protocol):
    """What a predictor prepares, so many bytes large."""

    @property
    def nbytes(self) -> int: ...


P = TypeVar("P", bound=Large)


class Sees(Protocol[P]):
    """What `stream` needs of a predictor."""

    @property
    def batch(self) -> int: ...

    def prepare(self, image: npt.NDArray[np.uint8], /) -> P: ...

    def see(
        self, prepared: Sequence[P], /, *, confidence: bool, probabilities: bool, progress: Progress
    ) -> list[Callable[[], Prediction]]: ...


def stream(
    predictor: Sees[P],
    jobs: Iterable[Job],
    *,
    read: Callable[[Job], npt.NDArray[np.uint8]],
    finish: Callable[[Job, Prediction], Outcome],
    confidence: bool = False,
    probabilities: bool = False,
    progress: Progress = SILENT,
) -> Iterator[tuple[Job, Outcome | DataError]]:
    """Predict pictures and do something with each prediction; gives the outcomes in the order of the jobs.

    read     gives the picture, uint8 (H, W, 3); a DataError that it raises is the job's outcome
    finish   receives the prediction; what it raises ends everything
    progress is told how much of a large picture is done

    Both run in threads, the network in this one. A few pictures are in memory at a time, however many there are.
    """
    window = predictor.batch * (_GROUPS_TO_CHOOSE_FROM if predictor.batch > 1 else 1)
    threads = min(_THREADS, os.cpu_count() or 1)
    waiting = iter(jobs)
    reading: deque[tuple[Job, Future[P]]] = deque()
    finishing: deque[tuple[Job, Future[Outcome] | DataError]] = deque()

    def prepared(job: Job) -> P:
        return predictor.prepare(read(job))

    def finished(job: Job, rest: Callable[[], Prediction]) -> Outcome:
        return finish(job, rest())

    def memory_is_full() -> bool:
        in_memory = len(reading) + len(finishing)
        return in_memory > 0 and (in_memory + 1) * largest > room

    room = predictor.batch * _IN_MEMORY
    largest = room // 2  # bytes of a picture; none is known before the first is read
    readers = ThreadPoolExecutor(threads, "reading")
    writers = ThreadPoolExecutor(threads, "writing")
    try:
        while True:
            while len(reading) < window + threads and not memory_is_full() and (fresh := list(islice(waiting, 1))):
                reading.append((fresh[0], readers.submit(prepared, fresh[0])))
            if reading:
                group = [reading.popleft() for _ in range(min(window, len(reading)))]
                outcomes: list[P | DataError] = [_outcome(future) for _, future in group]
                pictures = [outcome for outcome in outcomes if not isinstance(outcome, DataError)]
                largest = max((picture.nbytes for picture in pictures), default=largest)
                seen = iter(
                    predictor.see(pictures, confidence=confidence, probabilities=probabilities, progress=progress)
                )
                for (job, _), outcome in zip(group, outcomes, strict=True):
                    finishing.append(
                        (job, outcome if isinstance(outcome, DataError) else writers.submit(finished, job, next(seen)))
                    )
                del group, outcomes, outcome, pictures, seen
            elif not finishing:
                break
            while finishing and (
                not reading or memory_is_full() or len(finishing) > threads or _is_done(finishing[0][1])
            ):
                done, result = finishing.popleft()
                yield done, result if isinstance(result, DataError) else result.result()
    finally:
        for pool in (readers, writers):
            pool.shutdown(wait=True, cancel_futures=True)


def _outcome(future: Future[P]) -> P | DataError:
    try:
        return future.result()
    except DataError as error:
        return error


def _is_done(outcome: object) -> bool:
    return isinstance(outcome, DataError) or (isinstance(outcome, Future) and outcome.done())
