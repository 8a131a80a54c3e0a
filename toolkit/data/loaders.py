"""Samples -> batches, in an order that is a function of (seed, epoch) and can be entered at any step."""

import os
import signal
from collections.abc import Generator, Iterator
from itertools import islice
from typing import Any

import cv2
import numpy as np
from torch.utils.data import DataLoader, Sampler

from toolkit.data.dataset import Batch, Scored, TrainingSamples, ValidationSamples
from toolkit.errors import SegError


class _Parts(Sampler[list[tuple[int, int]]]):
    """Which samples this process computes at a time, step after step.

    step_images   in a step of the optimizer, over all processes
    largest       at a time, in this process
    """

    def __init__(self, length: int, seed: int, step_images: int, largest: int, rank: int, world: int) -> None:
        self.length, self.seed, self.step_images = length, seed, step_images
        self.largest, self.rank, self.world = largest, rank, world
        self.epoch, self.first_step = 0, 0

    def of_step(self, step: int) -> list[slice]:
        """The places in the epoch's order; none if the other processes do all of a short last step."""
        start = step * self.step_images
        images = self.images(step)
        low, high = (start + images * share // self.world for share in (self.rank, self.rank + 1))
        return [slice(at, min(at + self.largest, high)) for at in range(low, high, self.largest)]

    def images(self, step: int) -> int:
        return min(self.step_images, self.length - step * self.step_images)

    @property
    def steps(self) -> int:
        return -(-self.length // self.step_images)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        order = np.random.default_rng((self.seed, epoch)).permutation(self.length).tolist()
        for step in range(self.first_step, self.steps):
            for places in self.of_step(step):
                yield [(epoch, index) for index in order[places]]


def _begin_worker(worker: int) -> None:
    """Ctrl-C of a terminal, and SIGTERM to a group of processes, reach the main one alone, which finishes its step.

    SIGTERM to this process ends it: so torch ends those that it no longer needs. One thread each: there are as many
    processes as pay, and OpenCV's own threads are not there after a fork.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(os, "setsid"):
        os.setsid()
    cv2.setNumThreads(0)


class TrainingLoader:
    """The batches of each step, epoch after epoch; every image once an epoch, the last step may be smaller.

    step_images   images in a step of the optimizer, over all processes
    largest       images at a time: a step comes in so many batches
    rank, world   which of how many processes this is; each gets its share of every step
    """

    def __init__(
        self,
        samples: TrainingSamples,
        step_images: int,
        largest: int,
        workers: int,
        *,
        pin_memory: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._parts = _Parts(len(samples), samples.seed, step_images, largest, rank, world)
        self._running: Generator[list[Batch], None, None] | None = None
        self._loader: DataLoader[Any] | None = DataLoader(
            samples,
            batch_sampler=self._parts,
            num_workers=workers,
            collate_fn=samples.collate,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
            worker_init_fn=_begin_worker,
        )

    @property
    def steps(self) -> int:
        """Steps of a whole epoch."""
        return self._parts.steps

    def images(self, step: int) -> int:
        """How many images a step has, over all processes."""
        return self._parts.images(step)

    def epoch(self, epoch: int, first_step: int = 0, largest: int | None = None) -> Iterator[list[Batch]]:
        """The batches of each step of an epoch, counted from 0, beginning at `first_step`.

        largest   from now on, so many images at a time
        """
        if self._running is not None:
            self._running.close()
        self._parts.epoch, self._parts.first_step = epoch, first_step
        self._parts.largest = largest or self._parts.largest
        self._running = self._batches(first_step)
        return self._running

    def _batches(self, first_step: int) -> Generator[list[Batch], None, None]:
        assert self._loader is not None, "the loader was closed"
        batches = iter(self._loader)
        for step in range(first_step, self.steps):
            yield list(islice(batches, len(self._parts.of_step(step))))

    def close(self) -> None:
        """End the processes that load. Left to the end of the program, they would be killed, with torch's complaint."""
        if self._running is not None:
            self._running.close()
        self._loader = None


class ValidationLoader:
    """This process's share of the validation samples: every `world`-th one, always in the same order."""

    def __init__(self, samples: ValidationSamples, workers: int, *, rank: int = 0, world: int = 1) -> None:
        self.samples = samples
        self.indices = range(rank, len(samples), world)
        self._loader: DataLoader[Any] | None = DataLoader(
            samples,
            batch_size=None,
            sampler=_Fixed(self.indices),
            num_workers=min(workers, len(self.indices)),
            collate_fn=_as_it_is,
            worker_init_fn=_begin_worker,
        )

    def __iter__(self) -> Iterator[tuple[int, Scored | SegError]]:
        """Index and sample, or the error of one that cannot be read."""
        assert self._loader is not None, "the loader was closed"
        return zip(self.indices, self._loader, strict=True)


class _Fixed(Sampler[int]):
    def __init__(self, indices: range) -> None:
        self.indices = indices

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


def _as_it_is(item: Any) -> Any:
    return item
