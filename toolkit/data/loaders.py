"""Samples -> batches, in an order that is a function of (seed, epoch) and can be entered at any step."""

import signal
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Sampler

from toolkit.data.dataset import Batch, TrainingSamples, collate
from toolkit.errors import SegError


class _EpochOrder(Sampler[list[tuple[int, int]]]):
    def __init__(self, length: int, batch: int, seed: int) -> None:
        self.length, self.batch, self.seed = length, batch, seed
        self.epoch, self.first_step = 0, 0

    def __len__(self) -> int:
        return -(-self.length // self.batch) - self.first_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length).tolist()
        for start in range(self.first_step * self.batch, self.length, self.batch):
            yield [(self.epoch, index) for index in order[start : start + self.batch]]


def _leave_signals_to_the_main_process(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; only the main one finishes its step and saves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class TrainingLoader:
    """Batches of one epoch after the other; every image once an epoch, the last batch may be smaller."""

    def __init__(self, samples: TrainingSamples, batch: int, workers: int, *, pin_memory: bool) -> None:
        self._order = _EpochOrder(len(samples), batch, samples.seed)
        self._running: Generator[Batch, None, None] | None = None
        self._loader: DataLoader[Any] | None = DataLoader(
            samples,
            batch_sampler=self._order,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
            worker_init_fn=_leave_signals_to_the_main_process,
        )

    @property
    def steps(self) -> int:
        """Steps of a whole epoch."""
        return -(-self._order.length // self._order.batch)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0, beginning at `first_step`.

        Raises ImageError or DatasetError naming a file that cannot be read.
        """
        self._order.epoch, self._order.first_step = epoch, first_step
        self._running = self._batches()
        return self._running

    def _batches(self) -> Generator[Batch, None, None]:
        assert self._loader is not None, "the loader was closed"
        for batch in self._loader:
            if isinstance(batch, SegError):
                failed = batch
                break
            yield batch
        else:
            return
        raise failed

    def close(self) -> None:
        """End the processes that load. Left to the end of the program, they would be killed, with torch's complaint."""
        if self._running is not None:
            self._running.close()
        self._loader = None
