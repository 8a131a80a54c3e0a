"""One step of the optimizer: forward and backward for each batch of it, then, if all went well, the update."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from toolkit.data.dataset import Batch
from toolkit.errors import RunError, SegError, StoppedWithOthers
from toolkit.labels.classmap import IGNORE
from toolkit.models.device import is_out_of_memory
from toolkit.training.group import Group
from toolkit.training.plan import Plan
from toolkit.training.state import Engine

_COMPILERS = ("torch._dynamo", "torch._inductor")


class TooLarge(Exception):
    """The memory does not hold so many images at a time; nothing was changed."""


@dataclass(frozen=True)
class Outcome:
    """Of a step: the mean loss, whether weights were updated, whether someone asked to stop.

    has_data   there was something to learn from; else nothing is updated and the loss is NaN
    save       the main process wants its state saved
    """

    loss: float
    updated: bool
    has_data: bool
    stop: bool
    save: bool


class Stepper:
    """Does steps with a plan's model and loss, together with the other processes of the group."""

    def __init__(self, plan: Plan, engine: Engine, group: Group) -> None:
        self.plan, self.engine, self.group = plan, engine, group
        self._statistics = [buffer for buffer in engine.model.buffers() if buffer.is_floating_point()]
        if engine.scaler.is_enabled():  # it begins with the first loss, of which a process may have none
            engine.scaler.scale(torch.zeros((), device=plan.device.handle))
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
        save: bool = False,
        failed: SegError | None = None,
    ) -> Outcome:
        """Learn from this process's batches of a step.

        number   of the step, from which dropout's random numbers come
        images   of the step, over all processes
        stop, failed   of this process; all learn of it. save: of the main one
        Raises TooLarge in all processes if the memory of one is too small, and what `failed` says.
        """
        before = [statistic.clone() for statistic in self._statistics]
        for group in self.engine.optimizer.param_groups:
            group["lr"] = lr
        self.engine.optimizer.zero_grad(set_to_none=True)
        batches = [batch for batch in batches if bool((batch.targets != IGNORE).any())]  # others teach nothing
        if self.plan.config.sync_bn:
            self.group.agree(failed)
            batches = self._as_many_as_others(batches)
        sums, too_large = torch.zeros(2, device=self.plan.device.handle), False
        if failed is None:
            try:
                sums = self.learn(batches, number, images)
            except RunError as error:
                failed = error
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                too_large = True  # acted on outside: the error keeps what fills the memory alive
        if too_large and self.plan.config.sync_bn:  # the others wait within the model
            raise RunError("out of memory, and with sync_bn nothing can be divided. Use a smaller --batch.")
        flags = (float(too_large), float(failed is not None), float(stop), float(save and self.group.is_main))
        news = torch.cat([sums, torch.tensor(flags).to(sums.device)])
        loss, amount, any_too_large, any_failed, any_stop, to_save = self.group.sum(news).tolist()
        if any_failed:
            raise failed or StoppedWithOthers()
        if any_too_large:
            self._forget(before)
            raise TooLarge
        updated = False
        if amount:
            updated = self._update(loss, 1.0 if self._is_whole(batches) else self._unit(images) / amount)
            if not updated:
                self._forget(before)
        return Outcome(loss / amount if amount else math.nan, updated, bool(amount), bool(any_stop), bool(to_save))

    def _is_whole(self, batches: Sequence[Batch]) -> bool:
        """Whether a step is one batch in one process, whose loss is that of the step."""
        return len(batches) == 1 and self.group.world == 1

    def _unit(self, images: int) -> float:
        """About how many pixels a step has: gradients are kept in this unit until it is known how many count."""
        return float(images * self.plan.config.size**2)

    def learn(self, batches: Sequence[Batch], number: int, images: int) -> torch.Tensor:
        """Add up the gradients of this process's batches.

        Returns float32 (2,): the sum of the losses of their logits, each times the amount that it is a mean of, and the
        sum of the amounts. So the parts of a step make up what it would be in one piece, for losses that are means over pixels.
        Raises RunError if the model cannot be compiled.
        """
        sums = torch.zeros(2, device=self.plan.device.handle)
        for index, batch in enumerate(batches):
            torch.manual_seed(self._seed(number, index))
            loss, shown, amount = self._loss(batch)
            share = loss if self._is_whole(batches) else loss * (amount / self._unit(images))
            self.engine.scaler.scale(share).backward()  # type: ignore[no-untyped-call]
            sums += torch.stack([shown.detach() * amount, amount])
        return sums

    def _as_many_as_others(self, batches: Sequence[Batch]) -> list[Batch]:
        """With grey pictures that teach nothing: SyncBatchNorm waits in every pass for all processes."""
        missing = round(self.group.largest(len(batches))) - len(batches)
        size, fine = self.plan.config.size, self.plan.config.size * self.plan.config.upscale
        grey = torch.full((1, size, size, 3), 128, dtype=torch.uint8)
        return [*batches, *[Batch(grey, torch.full((1, fine, fine), IGNORE, dtype=torch.uint8), ())] * missing]

    def _seed(self, number: int, index: int) -> int:
        step = self.plan.config.seed * 1_000_003 + number
        return (step * 1_048_583 + self.group.rank * 4099 + index) % 2**63

    def _loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of a batch the loss, that of the logits alone, and the amount that it is a mean of, all float32 scalars.

        The second is what people see: with side outputs, the first one is no number of the validation's kind.
        """
        device = self.plan.device
        images = self.plan.preprocess.normalise(batch.images.to(device.handle, non_blocking=True))
        images = images.contiguous(memory_format=device.memory_format)
        targets = batch.targets.to(device.handle, non_blocking=True).long()
        with device.autocast():
            outputs = self._run(images)
        loss: torch.Tensor = self.plan.loss(outputs[0], targets)
        shown = loss
        for weight, side in zip(self.engine.model.side_weights, outputs[1:], strict=True):
            loss = loss + weight * self.plan.loss(side, targets)
        return loss, shown, self.plan.loss.amount(targets)

    def _run(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if not self.plan.config.compile:
            return self._outputs(images)
        try:
            return self._outputs(images)
        except RuntimeError as error:
            if not type(error).__module__.startswith(_COMPILERS):
                raise
            reason = str(error).strip().splitlines()[0]
            raise RunError(f"compile: torch cannot compile the model here ({reason}). Leave out --compile.") from error

    def _update(self, loss: float, scale: float) -> bool:
        """Let the optimizer go a step unless the loss or the gradient is not finite."""
        engine, clip = self.engine, self.plan.config.clip
        self.group.sum_gradients(engine.model.parameters())
        engine.scaler.unscale_(engine.optimizer)
        gradients = [p.grad for p in engine.model.parameters() if p.grad is not None]
        if scale != 1:
            for gradient in gradients:
                gradient.mul_(scale)
        norm = torch.nn.utils.get_total_norm(gradients)
        if not math.isfinite(loss) or not (math.isfinite(float(norm)) or self._is_finding_its_scale()):
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

    def _is_finding_its_scale(self) -> bool:
        """float16 overflows now and then, and the scaler, which leaves that step out, halves its scale."""
        return self.engine.scaler.is_enabled() and self.engine.scaler.get_scale() > 1

    def _forget(self, statistics: list[torch.Tensor]) -> None:
        """BatchNorm counts what it sees also in a step that does not count."""
        self.engine.optimizer.zero_grad(set_to_none=True)
        for now, before in zip(self._statistics, statistics, strict=True):
            now.copy_(before)
