"""Work on many files, in this process or in others, with results in order."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

_TIMED_JOBS = 8
_SECONDS_WORTH_A_POOL = 6.0  # starting processes took 1 to 2 s of both cores in measurements
_IN_FLIGHT = 64


def in_order(work: Callable[[Job], Outcome], jobs: Sequence[Job], workers: int | None) -> Iterator[Outcome]:
    """Like map. workers: so many processes; 0 or 1: this one; None: all cores if that saves more than it costs.

    To decide, the first few jobs are done and timed here. At most 64 jobs wait at a time, so memory does not grow
    with their number.
    """
    done = 0
    if workers is None:
        seconds = []
        for job in jobs[:_TIMED_JOBS]:
            began = time.perf_counter()
            yield work(job)
            seconds.append(time.perf_counter() - began)
        done = len(seconds)
        typical = sorted(seconds)[done // 2] if seconds else 0.0  # not the mean: the first job loads libraries
        workers = (os.cpu_count() or 1) if typical * (len(jobs) - done) > _SECONDS_WORTH_A_POOL else 0
    if workers <= 1:
        yield from map(work, jobs[done:])
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield from _from_pool(pool, work, jobs[done:])


def _from_pool(pool: Executor, work: Callable[[Job], Outcome], jobs: Sequence[Job]) -> Iterator[Outcome]:
    waiting: deque[Future[Outcome]] = deque()
    try:
        for job in jobs:
            with _children_deaf_to_interrupts():  # the pool starts its processes when work comes in
                waiting.append(pool.submit(work, job))
            if len(waiting) >= _IN_FLIGHT:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@contextmanager
def _children_deaf_to_interrupts() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal; only this one shall speak. Children inherit what is ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
