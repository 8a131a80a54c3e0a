"""Results come in order, whoever does the work."""

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from toolkit.parallel import Crew, in_order


def process_of(job: int) -> tuple[int, int]:
    return job, os.getpid()


def refuse(job: int) -> int:
    raise ValueError(f"job {job}")


@pytest.mark.parametrize("workers", [0, 1, 2, None])
def test_every_job_once_and_in_order(workers: int | None) -> None:
    done = list(in_order(process_of, range(150), workers))
    assert [job for job, _ in done] == list(range(150))
    here = {process == os.getpid() for _, process in done}
    assert here == {workers != 2}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_reaches_the_caller(workers: int) -> None:
    with pytest.raises(ValueError, match="job 0"):
        list(in_order(refuse, range(100), workers))


def test_no_jobs() -> None:
    assert list(in_order(process_of, [], None)) == []


class InterruptedWhileSubmitting(Executor):
    """Ctrl-C comes while work is handed over, when processes may be starting."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        os.kill(os.getpid(), signal.SIGINT)
        future: Future[Any] = Future()
        future.set_result(work(*arguments, **options))
        return future


def interrupts_blocked(job: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupt_is_not_lost_while_work_is_handed_over() -> None:
    with pytest.raises(KeyboardInterrupt), Crew(None, InterruptedWhileSubmitting()) as crew:
        list(crew.map(process_of, range(10)))
    assert not interrupts_blocked(0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_workers_do_not_hear_interrupts() -> None:
    assert all(in_order(interrupts_blocked, range(20), 2))
