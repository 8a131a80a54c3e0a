"""Results come in order, whoever does the work."""

import os

import pytest

from toolkit.parallel import in_order


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
