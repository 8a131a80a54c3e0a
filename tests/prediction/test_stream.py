"""Order, errors and bounds of what goes on beside the network."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from toolkit.errors import DataError, ImageError, RunError
from toolkit.labels.classmap import ClassMap
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.stream import stream
from toolkit.progress import Progress

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@dataclass(frozen=True)
class Given:
    image: Pixels

    @property
    def nbytes(self) -> int:
        return self.image.nbytes


class Network:
    """Sees a picture's first byte."""

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch
        self.groups: list[int] = []
        self.thread: set[int] = set()

    def prepare(self, image: Pixels) -> Given:
        return Given(image)

    def see(
        self, prepared: Sequence[Given], *, confidence: bool, probabilities: bool, progress: Progress
    ) -> list[Callable[[], Prediction]]:
        self.groups.append(len(prepared))
        self.thread.add(threading.get_ident())

        def rest(given: Given) -> Callable[[], Prediction]:
            return lambda: Prediction(given.image[:, :, 0], given.image, ClassMap(("a",)), (1.0,))

        return [rest(given) for given in prepared]


def picture(number: int) -> Pixels:
    return np.full((2, 3, 3), number, np.uint8)


@pytest.mark.parametrize("batch", [1, 4])
def test_outcomes_come_in_the_order_of_the_jobs_however_long_each_takes(batch: int) -> None:
    def read(job: int) -> Pixels:
        time.sleep(0.01 * (job % 3))
        return picture(job)

    def finish(job: int, prediction: Prediction) -> tuple[int, int]:
        time.sleep(0.01 * ((job + 1) % 4))
        return job, int(prediction.mask[0, 0])

    found = list(stream(Network(batch), range(23), read=read, finish=finish))
    assert found == [(job, (job, job)) for job in range(23)]


def test_a_broken_picture_is_its_jobs_outcome_and_the_others_go_on() -> None:
    def read(job: int) -> Pixels:
        if job in (0, 3, 9):
            raise ImageError(f"{job}: broken")
        return picture(job)

    found = dict(stream(Network(2), range(10), read=read, finish=lambda job, _: job))
    assert [job for job, outcome in found.items() if isinstance(outcome, DataError)] == [0, 3, 9]
    assert str(found[3]) == "3: broken"
    assert [found[job] for job in (1, 2, 4)] == [1, 2, 4]


def test_nothing_but_broken_pictures_and_nothing_at_all() -> None:
    def read(job: int) -> Pixels:
        raise ImageError("broken")

    assert [str(outcome) for _, outcome in stream(Network(), range(9), read=read, finish=lambda j, _: j)] == [
        "broken"
    ] * 9
    assert list(stream(Network(), [], read=read, finish=lambda job, _: job)) == []


def test_an_error_while_writing_ends_everything() -> None:
    def finish(job: int, prediction: Prediction) -> None:
        if job == 5:
            raise RunError("disk full")

    with pytest.raises(RunError, match="disk full"):
        list(stream(Network(), range(1000), read=picture, finish=finish))


def test_few_pictures_are_waiting_at_a_time() -> None:
    taken = 0

    def jobs() -> Iterator[int]:
        nonlocal taken
        for job in range(200):
            taken += 1
            yield job

    for done, _ in enumerate(stream(Network(2), jobs(), read=picture, finish=lambda job, _: job)):
        assert taken - done <= 24


def test_huge_pictures_are_read_one_at_a_time() -> None:
    huge = np.broadcast_to(np.uint8(0), (1 << 14, 1 << 14, 3))
    alive, most = 0, 0
    lock = threading.Lock()

    def read(job: int) -> Pixels:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return huge

    def finish(job: int, prediction: Prediction) -> None:
        nonlocal alive
        time.sleep(0.01)
        with lock:
            alive -= 1

    list(stream(Network(), range(8), read=read, finish=finish))
    assert most <= 2


def test_reading_and_writing_go_on_beside_the_network() -> None:
    network = Network()
    elsewhere: set[int] = set()

    def read(job: int) -> Pixels:
        elsewhere.add(threading.get_ident())
        return picture(job)

    list(stream(network, range(10), read=read, finish=lambda job, _: elsewhere.add(threading.get_ident())))
    assert network.thread == {threading.get_ident()}
    assert threading.get_ident() not in elsewhere and len(elsewhere) > 1


def test_waiting_for_what_is_written_costs_nothing() -> None:
    before = time.process_time()
    list(stream(Network(), [1], read=picture, finish=lambda job, _: time.sleep(0.5)))
    assert time.process_time() - before < 0.2


def test_batches_are_used() -> None:
    network = Network(4)
    list(stream(network, range(32), read=picture, finish=lambda job, _: job))
    assert max(network.groups) == 8, "two batches to choose those of one shape from"
