"""Work on many files, in this process or in others, with results in order."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from types import TracebackType
from typing import TypeVar

from toolkit.errors import RunError
from toolkit.progress import Progress

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

_SECONDS_TO_JUDGE = 0.04
_FORK_COST = 0.08  # seconds of work left that make processes worth starting: a fork takes hundredths of a second,
_SPAWN_COST = 6.0  # a fresh interpreter with its libraries 1 to 2 s of every core
_SECONDS_A_CHUNK = 0.04
_UNKNOWN_SECONDS = 0.004  # a job that was not timed: ten make a chunk
_LARGEST_CHUNK = 64
_MOST_WORKERS = 32


class Crew:
    """Processes for one command: started when they pay, used for all of its passes, gone when it ends.

    workers    so many processes; 0 or 1: this one; None: all cores if that saves more than it costs
    executor   does the work instead: any `concurrent.futures.Executor`, for example that of a cluster
    """

    def __init__(self, workers: int | None, executor: Executor | None = None) -> None:
        self._workers = workers
        self._executor = executor
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, work: Callable[[Job], Outcome], jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Like the built-in map, in the order of `jobs`.

        To decide whether processes pay, the first few jobs are done and timed here. Jobs travel in chunks, and a few
        chunks wait at a time, so memory does not grow with their number.
        """
        outcomes: list[Outcome] = []
        seconds = _UNKNOWN_SECONDS
        if self._executor is None and self._pool is None and self._workers is None:
            outcomes, seconds = _timed(work, jobs)
            left = seconds * (len(jobs) - len(outcomes))
            if left > (_FORK_COST if _may_fork() else _SPAWN_COST):
                self._pool = _new_pool(_cores())
        elif self._executor is None and self._pool is None and (self._workers or 0) > 1 and len(jobs) > 1:
            self._pool = _new_pool(self._workers or 1)
        yield from outcomes
        rest = jobs[len(outcomes) :]
        executor = self._executor or self._pool
        if executor is None:
            yield from map(work, rest)
            return
        workers = self._pool_size()
        size = min(_LARGEST_CHUNK, max(1, int(_SECONDS_A_CHUNK / seconds)), max(1, len(rest) // (4 * workers)))
        yield from _through(executor, work, rest, size, in_flight=4 * workers)

    def _pool_size(self) -> int:
        return _cores() if self._workers is None else max(self._workers, 1)


def in_order(work: Callable[[Job], Outcome], jobs: Sequence[Job], workers: int | None) -> Iterator[Outcome]:
    """`Crew.map` for a single pass."""
    with Crew(workers) as crew:
        yield from crew.map(work, jobs)


def shown(progress: Progress, outcomes: Iterable[Outcome], what: str, total: int) -> Iterator[Outcome]:
    """`progress.track`, begun after the first outcome: a bar runs in a thread, and processes start before it."""
    waiting = iter(outcomes)
    first = list(islice(waiting, 1))
    yield from progress.track(chain(first, waiting), what, total)


def _timed(work: Callable[[Job], Outcome], jobs: Sequence[Job]) -> tuple[list[Outcome], float]:
    """The first outcomes, and how many seconds a job takes: the median, as the first one loads libraries."""
    outcomes, seconds = [], []
    began = time.perf_counter()
    for job in jobs:
        before = time.perf_counter()
        outcomes.append(work(job))
        seconds.append(time.perf_counter() - before)
        if time.perf_counter() - began > _SECONDS_TO_JUDGE:
            break
    return outcomes, max(1e-6, sorted(seconds)[len(seconds) // 2] if seconds else 0.0)


def _do_all(work: Callable[[Job], Outcome], jobs: Sequence[Job]) -> list[Outcome]:
    return [work(job) for job in jobs]


def _through(
    executor: Executor, work: Callable[[Job], Outcome], jobs: Sequence[Job], size: int, in_flight: int
) -> Iterator[Outcome]:
    waiting: deque[Future[list[Outcome]]] = deque()
    try:
        for first in range(0, len(jobs), size):
            with _children_deaf_to_interrupts():  # a pool starts its processes when work comes in
                waiting.append(executor.submit(_do_all, work, jobs[first : first + size]))
            if len(waiting) >= in_flight:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenExecutor:
        raise RunError("a worker process was killed, probably for want of memory. Use fewer --workers.") from None
    finally:
        for future in waiting:
            future.cancel()


def _cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_WORKERS)


def _may_fork() -> bool:
    """A forked child has only the thread that forked: locks that others hold stay locked for ever."""
    return sys.platform == "linux" and threading.active_count() == 1


def _new_pool(workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("fork" if _may_fork() else "spawn")
    return ProcessPoolExecutor(workers, context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    gc.freeze()  # what the parent made is not looked through again, nor are its pages copied for that

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _children_deaf_to_interrupts() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal; only this one shall speak. Children inherit what is blocked.

    Blocked, not ignored, where that is possible: a Ctrl-C that comes in here is not lost, it comes when the block ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings():  # of numpy's own threads, which the workers do not use
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        if sys.platform == "win32":
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                yield
            finally:
                signal.signal(signal.SIGINT, before)
        else:
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                yield
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
