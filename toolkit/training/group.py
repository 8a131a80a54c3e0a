"""The processes of one training: this one alone, or several that share the work of every step.

They are started by `torchrun` or by `seg train --device 0,1`, and find each other through the environment variables
that torchrun defines (RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT).

Gradients are summed here, after the last backward pass of a step, instead of by DistributedDataParallel during it:
then all processes can agree first whether the step counts, and one that ran out of memory, met a broken picture or
was asked to stop does not leave the others waiting.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist

from toolkit.errors import RunError, SegError, StoppedWithOthers, UsageError
from toolkit.training.launch import is_one_of_several

T = TypeVar("T")

_PATIENCE = timedelta(days=1)  # the others wait while the first one fills a cache; whoever launched them sees who died
_GONE = re.compile(r"Connection (closed|reset) by peer|Broken pipe|remote process exited", re.IGNORECASE)
_BUCKET = 8_000_000  # numbers that travel at a time: enough to be quick, little beside the weights


@dataclass(frozen=True)
class Group:
    """`world` processes, of which this one is number `rank`; number 0, the main one, speaks and writes.

    was_there   the caller had the processes meet before, and will have them part
    """

    rank: int = 0
    world: int = 1
    was_there: bool = False

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add a tensor up over all processes, in place."""
        if self.world > 1:
            with self._meeting():
                dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Add the gradients of all processes up; one that computed nothing counts as zero."""
        if self.world == 1:
            return
        learning = [p for p in parameters if p.requires_grad]
        for parameter in learning:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._sum_together([p.grad for p in learning if p.grad is not None])

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give all processes the mean of each tensor, in place."""
        if self.world == 1:
            return
        listed = list(tensors)
        self._sum_together(listed)
        for tensor in listed:
            tensor.div_(self.world)

    def _sum_together(self, tensors: list[torch.Tensor]) -> None:
        """One message for many tensors: each has a price of its own."""
        bucket: list[torch.Tensor] = []
        for tensor in [*tensors, None]:
            if tensor is None or sum(t.numel() for t in bucket) + tensor.numel() > _BUCKET:
                if bucket:
                    flat = self.sum(torch.cat([t.reshape(-1) for t in bucket]))
                    for mine, total in zip(bucket, torch.split(flat, [t.numel() for t in bucket]), strict=True):
                        mine.copy_(total.view(mine.shape))
                bucket = []
            if tensor is not None:
                bucket.append(tensor)

    def any(self, here: bool) -> bool:
        """Whether it holds in any process."""
        if self.world == 1:
            return here
        return bool(self.sum(torch.tensor(float(here))))

    def largest(self, here: float) -> float:
        """The largest value in any process."""
        if self.world == 1:
            return here
        value = torch.tensor(float(here))
        with self._meeting():
            dist.all_reduce(value, dist.ReduceOp.MAX)
        return float(value)

    def share(self, value: T) -> T:
        """The main process's value."""
        if self.world == 1:
            return value
        box: list[Any] = [value if self.is_main else None]
        with self._meeting():
            dist.broadcast_object_list(box, 0, device=torch.device("cpu"))
        shared: T = box[0]
        return shared

    def gather(self, values: list[str]) -> list[str]:
        """The texts of all processes, in the order of their ranks."""
        if self.world == 1:
            return values
        lists: list[Any] = [None] * self.world
        with self._meeting():
            dist.all_gather_object(lists, values)
        return [text for each in lists for text in each]

    def on_main(self, work: Callable[[], T]) -> T:
        """Do something in the main process only and give all its outcome.

        If it fails there, StoppedWithOthers is raised elsewhere.
        """
        outcome: T | None = None
        if self.is_main:
            outcome = self._first(work)
        else:
            self._after_main()
        return self.share(outcome)  # type: ignore[return-value]

    def main_first(self, work: Callable[[], T]) -> T:
        """Do something in every process, in the main one first: what it downloads or keeps, the others find.

        If it fails there, it is not tried elsewhere, and StoppedWithOthers is raised; and so if it fails elsewhere.
        """
        failed, outcome = None, None
        if self.is_main:
            outcome = self._first(work)
        else:
            self._after_main()
            try:
                outcome = work()
            except SegError as error:
                failed = error
        self.agree(failed)
        return outcome  # type: ignore[return-value]

    def _first(self, work: Callable[[], T]) -> T:
        try:
            outcome = work()
        except SegError as error:
            self.share(error.exit_code)
            raise
        self.share(0)
        return outcome

    def _after_main(self) -> None:
        code = self.share(0)
        if code:
            raise StoppedWithOthers(code)

    def fail(self, error: SegError) -> NoReturn:
        """Raise an error that all processes have come to: in the main one, which speaks; the others stop with it."""
        raise error if self.is_main else StoppedWithOthers(error.exit_code)

    def give_all(self, tensors: Iterable[torch.Tensor]) -> None:
        """Bring tensors, in place, to what they are in the main process."""
        if self.world > 1:
            with self._meeting():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)

    @contextlib.contextmanager
    def _meeting(self) -> Iterator[None]:
        """A process that is gone, or that had the others' answer and left first, is no fault of this one."""
        try:
            yield
        except RuntimeError as error:
            if not _GONE.search(str(error)):
                raise
            self.fail(
                RunError(
                    "another process that shares the work is gone. If it said why, it stands above; else it was killed."
                )
            )

    def agree(self, failed: SegError | None) -> None:
        """Raise in every process if any has failed: its own error where it failed, StoppedWithOthers elsewhere."""
        if self.any(failed is not None):
            raise failed or StoppedWithOthers()


ALONE = Group()
"""No other process."""


def join_group(device: str) -> Group:
    """Meet the other processes, if there are any, each with a device of this choice. End with `leave_group`."""
    if dist.is_available() and dist.is_initialized():
        return Group(dist.get_rank(), dist.get_world_size(), was_there=True)
    if not is_one_of_several():
        return ALONE
    own = own_device(device)
    on_gpu = torch.cuda.is_available() and (own.startswith("cuda:") or own.isdecimal())
    if on_gpu:
        torch.cuda.set_device(int(own.removeprefix("cuda:")))
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    return Group(dist.get_rank(), dist.get_world_size())


def leave_group(group: Group) -> None:
    """Part from the other processes."""
    if group.world > 1 and not group.was_there:
        dist.destroy_process_group()


def own_device(choice: str) -> str:
    """The device of this process, of a choice such as `0,1`, `cuda` or `auto`.

    Raises UsageError if there are not enough for the processes that were started on this machine.
    """
    index = int(os.environ.get("LOCAL_RANK", "0"))
    if "," in choice:
        named = [name.strip() for name in choice.split(",")]
        if not is_one_of_several():
            raise UsageError(f"device: '{choice}' needs a process for each. Start it with seg train or torchrun.")
        if index >= len(named):
            raise UsageError(f"device: '{choice}' names {len(named)}, but process {index} of this machine needs one.")
        return named[index]
    if not is_one_of_several() or choice not in ("auto", "cuda"):
        return choice
    if not torch.cuda.is_available():
        return "cpu" if choice == "auto" else choice  # gloo, which connects them then, knows no other devices
    if index >= torch.cuda.device_count():
        raise UsageError(f"there are {torch.cuda.device_count()} GPUs for process {index}. Start fewer processes.")
    return f"cuda:{index}"
