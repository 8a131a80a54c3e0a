"""What a training does when something goes wrong on the way: skip, divide, leave out, go back, or end with advice."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from toolkit.data.dataset import Batch
from toolkit.errors import RunError, SegError
from toolkit.models.device import is_out_of_memory
from toolkit.progress import Progress
from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder
from toolkit.runs.state import load_state
from toolkit.training.group import Group
from toolkit.training.plan import Plan, with_way_out
from toolkit.training.state import Engine, State

BAD_STEPS = 8
"""So many steps in a row without a finite loss, and the run goes back to its last good state."""

_REWINDS = 3

KILLED = "DataLoader worker"
"""In what torch says when a loader process has died."""


@contextlib.contextmanager
def explained(config: TrainConfig) -> Iterator[None]:
    """What torch raises for want of memory, or because a loader process was killed, becomes a RunError with advice."""
    try:
        yield
    except RuntimeError as error:
        if KILLED in str(error):  # torch says it again whenever another one of them ends
            earlier = error.__context__
            killed = RunError(f"a process that loads images was killed. Use fewer --workers (now {config.workers}).")
            raise (earlier if isinstance(earlier, SegError) else killed) from None
        if not is_out_of_memory(error):
            raise
        raise RunError(f"out of memory: batch {config.batch}, size {config.size}. Use a smaller --size.") from None


@dataclass(frozen=True)
class Setbacks:
    """The answers of one run. What happened is kept in its state."""

    plan: Plan
    run: RunFolder
    group: Group
    engine: Engine
    progress: Progress

    def unread(self, state: State, batches: Sequence[Batch]) -> SegError | None:
        """What ends the run because a sample of these batches could not be read, if anything does."""
        try:
            for batch in batches:
                for error in batch.unread:
                    self.skip_or_stop(state, error)
        except SegError as error:
            return error
        return None

    def skip_or_stop(self, state: State, error: SegError) -> None:
        """Raise the error of a sample that cannot be read, or go on without it, as `--on-bad-image` says."""
        if self.plan.config.on_bad_image == "stop":
            raise with_way_out(error)
        self.note_skipped(state, str(error))

    def note_skipped(self, state: State, text: str) -> None:
        """Say once why a sample is left out."""
        if text not in state.skipped:
            state.skipped.append(text)
            self.progress.warn(f"skipped: {text}")

    def fewer_at_a_time(self, state: State) -> None:
        """Compute a step in more, smaller parts: its images, and so what is learnt, stay the same.

        Raises RunError if the parts are single images already.
        """
        micro = state.micro or 1
        if micro == 1:
            self.group.fail(
                RunError(
                    f"{self.plan.device}: out of memory with one image at a time. Use a smaller --size (now "
                    f"{self.plan.config.size}) or a smaller model; --resume goes on with the same ones."
                )
            )
        state.micro = -(-micro // 2)
        if self.plan.device.handle.type == "cuda":
            torch.cuda.empty_cache()
        self.progress.warn(
            f"out of memory with {micro} images at a time; going on with {state.micro}. A step still learns from "
            f"{self.plan.step_images}."
        )

    def is_enough(self, state: State, batches: Sequence[Batch], loss: float) -> bool:
        """Note a step without a finite loss or gradient, which changed nothing; True if it is time to go back.

        Raises RunError if the run went back often enough.
        """
        state.bad_steps += 1
        stems = ", ".join(stem for batch in batches for stem in batch.stems)
        if state.bad_steps == 1:
            what = f"loss is {loss}" if not math.isfinite(loss) else "gradient is not finite"
            self.progress.warn(
                f"epoch {state.epoch + 1}, step {state.step}: the {what} at images {stems}; the step was left out."
            )
        if state.bad_steps < BAD_STEPS:
            return False
        if state.rewinds == _REWINDS:
            self.group.fail(
                RunError(
                    f"the loss stays without a finite value ({loss} at images {stems}), also at a learning rate "
                    f"{1 / state.lr_factor:g} times lower. Start again with a lower --lr, with --clip 1 or with --no-amp."
                )
            )
        return True

    def last_good(self, state: State) -> State:
        """The end of the last epoch that ended well, with half the present learning rate; all parts are brought to it."""
        saved = self.group.on_main(lambda: load_state(self.run.good_state))
        restored = self.engine.restore(saved)
        restored.lr_factor, restored.rewinds = state.lr_factor / 2, state.rewinds + 1
        restored.skipped, restored.bad_steps = state.skipped, 0
        return restored
