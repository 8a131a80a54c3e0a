"""One step of the optimizer: forward and backward for each batch of it, then, if all went well, the update."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from toolkit.data.dataset import Batch
from toolkit.errors import RunError, SegError, StoppedWithOthers
from toolkit.labels.classmap import IGNORE
from toolkit.training.group import Group
from toolkit.training.plan import Plan
from toolkit.training.state import Engine

_COMPILERS = ("torch._dynamo", "torch._inductor")


class TooLarge(Exception):
    """The memory does not hold so many images at a time; nothing was changed."""


@dataclass(frozen=True)
class Outcome:
    """Of a step: the mean loss over its images, whether weights were updated, whether someone asked to stop.

    images   how many were learnt from, over all processes; with none, nothing is updated and the loss is NaN
    """

    loss: float
    updated: bool
    images: int
    stop: bool


class Stepper:
    """Does steps with a plan's model and loss, together with the other processes of the group."""

    def __init__(self, plan: Plan, engine: Engine, group: Group) -> None:
        self.plan, self.engine, self.group = plan, engine, group
        self._statistics = [buffer for buffer in engine.model.buffers() if buffer.is_floating_point()]
        outputs = engine.model.all_logits
        self._outputs = torch.compile(outputs) if plan.config.compile else outputs

    def step(
        self,
        batches: Sequence[Batch],
        lr: float,
        number: int,
        images: int,
        *,
        stop: bool = False,
        failed: SegError | None = None,
    ) -> Outcome:
        """Learn from this process's batches of a step.

        number   of the step, from which dropout's random numbers come
        images   of the step, over all processes, if all of them can be read
        stop, failed   of this process; all learn of it
        Raises TooLarge in all processes if the memory of one is too small, and what `failed` says.
        """
        before = [statistic.clone() for statistic in self._statistics]
        for group in self.engine.optimizer.param_groups:
            group["lr"] = lr
        self.engine.optimizer.zero_grad(set_to_none=True)
        batches = [batch for batch in batches if bool((batch.targets != IGNORE).any())]  # others teach nothing
        loss_sum, too_large = torch.zeros((), device=self.plan.device.handle), False
        if failed is None:
            try:
                loss_sum = self.learn(batches, number, images)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if self.plan.config.compile and type(error).__module__.startswith(_COMPILERS):
                    reason = str(error).strip().splitlines()[0]
                    raise RunError(
                        f"compile: torch cannot compile the model here ({reason}). Leave out --compile."
                    ) from error
                if not is_out_of_memory(error):
                    raise
                too_large = True  # acted on outside: the error keeps what fills the memory alive
        news = torch.stack([loss_sum.detach().float(), *map(self._flag, (0, too_large, failed is not None, stop))])
        news[1] = float(sum(len(batch.stems) for batch in batches))
        loss, read, any_too_large, any_failed, any_stop = self.group.sum(news).tolist()
        if any_failed:
            raise failed or StoppedWithOthers()
        if any_too_large:
            self._forget(before)
            raise TooLarge
        updated = False
        if read:
            updated = self._update(loss, images / read)
            if not updated:
                self._forget(before)
        return Outcome(loss / read if read else math.nan, updated, int(read), bool(any_stop))

    def _flag(self, value: float) -> torch.Tensor:
        return torch.tensor(float(value), device=self.plan.device.handle)

    def learn(self, batches: Sequence[Batch], number: int, images: int) -> torch.Tensor:
        """Add up the gradients of this process's batches; returns the sum of the losses of their images."""
        loss_sum = torch.zeros((), device=self.plan.device.handle)
        for index, batch in enumerate(batches):
            torch.manual_seed(self._seed(number, index))
            loss = self._loss(batch)
            share = loss * (len(batch.stems) / images)
            self.engine.scaler.scale(share).backward()  # type: ignore[no-untyped-call]
            loss_sum += loss.detach() * len(batch.stems)
        return loss_sum

    def _seed(self, number: int, index: int) -> int:
        step = self.plan.config.seed * 1_000_003 + number
        return (step * 1_048_583 + self.group.rank * 4099 + index) % 2**63

    def _loss(self, batch: Batch) -> torch.Tensor:
        device = self.plan.device
        images = self.plan.preprocess.normalise(batch.images.to(device.handle, non_blocking=True))
        images = images.contiguous(memory_format=device.memory_format)
        targets = batch.targets.to(device.handle, non_blocking=True).long()
        with device.autocast():
            outputs = self._outputs(images)
        loss: torch.Tensor = self.plan.loss(outputs[0], targets)
        for weight, side in zip(self.engine.model.side_weights, outputs[1:], strict=True):
            loss = loss + weight * self.plan.loss(side, targets)
        return loss

    def _update(self, loss: float, scale: float) -> bool:
        """Let the optimizer go a step unless the loss or the gradient is not finite."""
        engine, clip = self.engine, self.plan.config.clip
        self.group.sum_gradients(engine.model.parameters())
        engine.scaler.unscale_(engine.optimizer)
        gradients = [p.grad for p in engine.model.parameters() if p.grad is not None]
        if scale != 1:  # some images could not be read: the mean is over the others
            for gradient in gradients:
                gradient.mul_(scale)
        norm = torch.nn.utils.get_total_norm(gradients)
        # float16 overflows now and then, until the scaler has found its scale: that is its business
        if not math.isfinite(loss) or not (engine.scaler.is_enabled() or math.isfinite(float(norm))):
            engine.optimizer.zero_grad(set_to_none=True)
            if engine.scaler.is_enabled():
                engine.scaler.update()
            return False
        if clip:
            torch.nn.utils.clip_grads_with_norm_(engine.model.parameters(), clip, norm)
        engine.scaler.step(engine.optimizer)
        engine.scaler.update()
        self.group.average(self._statistics)
        if engine.ema is not None:
            engine.ema.update_parameters(engine.model)
        return True

    def _forget(self, statistics: list[torch.Tensor]) -> None:
        """BatchNorm counts what it sees also in a step that does not count."""
        self.engine.optimizer.zero_grad(set_to_none=True)
        for now, before in zip(self._statistics, statistics, strict=True):
            now.copy_(before)


def is_out_of_memory(error: BaseException) -> bool:
    """Of a GPU, or, which torch reports as any other failure, of the machine."""
    return (
        isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error) or "can't allocate" in str(error)
    )
