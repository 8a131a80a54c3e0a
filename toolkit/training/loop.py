"""The training loop, in the open: step, evaluate, save, log, in order."""

import math
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from toolkit.data.dataset import Batch
from toolkit.data.loaders import TrainingLoader, ValidationLoader
from toolkit.errors import Interrupted, RunError, StoppedWithOthers
from toolkit.files import keep_as
from toolkit.metrics import MEANS, Scores
from toolkit.progress import Progress
from toolkit.runs.checkpoint import Checkpoint
from toolkit.runs.folder import RunFolder
from toolkit.runs.state import save_state
from toolkit.training.evaluate import Evaluation, evaluate
from toolkit.training.group import Group
from toolkit.training.optim import lr_at
from toolkit.training.plan import Plan
from toolkit.training.setbacks import BAD_STEPS, Setbacks
from toolkit.training.state import Engine, State
from toolkit.training.step import Stepper, TooLarge
from toolkit.training.talk import ended_early, epoch_line, tell_cost, tell_waiting
from toolkit.training.tracking.tracker import Tracker

_TIMED_STEPS = 3


@dataclass
class Training:
    """A run on its way: what it is made of, and the loop."""

    plan: Plan
    run: RunFolder
    group: Group
    engine: Engine
    state: State
    loader: TrainingLoader
    validation: ValidationLoader
    progress: Progress
    tracker: Tracker
    should_stop: Callable[[], bool]

    def __post_init__(self) -> None:
        config = self.plan.config
        self.total = config.epochs * self.loader.steps
        self.warmup = min(round(config.warmup_epochs * self.loader.steps), self.total // 2)
        self.stepper = Stepper(self.plan, self.engine, self.group)
        self.setbacks = Setbacks(self.plan, self.run, self.group, self.engine, self.progress)
        self.state.world = self.group.world
        self._began, self._begun_at = time.monotonic(), self._done
        self._saved = time.monotonic()

    @property
    def _done(self) -> int:
        """Steps since the run began."""
        return self.state.epoch * self.loader.steps + self.state.step

    def fit(self) -> None:
        """Train until the last epoch or until the score has not risen for `patience` epochs."""
        config = self.plan.config
        while self.state.epoch < config.epochs and not self.state.is_patience_over(config):
            self._set_mode()
            self._train_epoch()
            self._finish_epoch(self._validate())
            if self.group.any(self.should_stop()) and self.state.epoch < config.epochs:
                self._stop(f"after epoch {self.state.epoch}")
        if self.state.epoch < config.epochs:
            self.progress.say(ended_early(config, self.state.epoch, self.state.best_epoch))

    def _train_epoch(self) -> None:
        """The steps of an epoch that are left; what could not be done is done again or leads to an error."""
        state, config = self.state, self.plan.config
        began = time.monotonic() - state.seconds
        self._begin_epoch()
        steps = self._batches()
        while state.step < self.loader.steps:
            asked = time.monotonic()
            batches = next(steps)
            state.data_seconds += time.monotonic() - asked
            failed = self.setbacks.unread(state, batches)
            try:
                outcome = self.stepper.step(
                    batches,
                    self._lr(self._done),
                    self._done,
                    self.loader.images(state.step),
                    stop=self.should_stop(),
                    save=time.monotonic() - self._saved >= 60 * config.save_minutes,
                    failed=failed,
                )
            except TooLarge:
                self.setbacks.fewer_at_a_time(state)
                steps = self._batches()
                continue
            state.step += 1
            state.seconds = time.monotonic() - began
            if outcome.updated:
                state.loss_sum += outcome.loss
                state.good_steps, state.bad_steps = state.good_steps + 1, 0
            elif outcome.has_data and self.setbacks.is_enough(state, batches, outcome.loss):
                state, steps = self._go_back(), self._batches()
                began = time.monotonic() - state.seconds
                continue
            self.progress.advance(f"loss {outcome.loss:.3f}")
            self._tell_cost()
            if outcome.stop:
                self.progress.end()
                self._save_state()
                self._stop(f"in epoch {state.epoch + 1}")
            if outcome.save:
                self._save_state()
        self.progress.end()

    def _batches(self) -> Iterator[list[Batch]]:
        """The steps of the present epoch that are left."""
        return self.loader.epoch(self.state.epoch, self.state.step, self.state.micro)

    def _lr(self, number: int) -> float:
        config = self.plan.config
        assert config.lr is not None
        return self.state.lr_factor * lr_at(number, self.total, self.warmup, config.lr, config.schedule)

    def _validate(self) -> Evaluation:
        plan = self.plan
        evaluation = evaluate(
            self.engine.scored,
            self.validation,
            plan.preprocess,
            plan.loss,
            plan.device,
            unread=lambda error: self.setbacks.skip_or_stop(self.state, error),
            group=self.group,
            progress=self.progress,
        )
        for text in self.group.gather(self.state.skipped):  # others cannot be heard
            self.setbacks.note_skipped(self.state, text)
        return evaluation

    def _finish_epoch(self, evaluation: Evaluation) -> None:
        """Score, save, log; then the next epoch is the present one."""
        state, plan = self.state, self.plan
        if not state.good_steps and not state.bad_steps and state.skipped:
            error = f"epoch {state.epoch + 1}: none of the {len(plan.train)} training images could be read."
            self.group.fail(RunError(error))
        scores = evaluation.confusion.scores(plan.classes.names)
        is_best = self._note_best(scores, evaluation)
        values: dict[str, float] = {
            "epoch": state.epoch + 1,
            "lr": self._lr((state.epoch + 1) * self.loader.steps - 1),
            "train_loss": state.loss_sum / state.good_steps if state.good_steps else math.nan,
            "val_loss": evaluation.loss,
            **{name: getattr(scores, name) for name in MEANS},
            **{f"iou.{name}": iou for name, iou in zip(scores.names, scores.iou, strict=True)},
            "data_seconds": round(state.data_seconds, 2),
            "step_seconds": round(state.seconds - state.data_seconds, 2),
            "seconds": round(state.seconds + evaluation.seconds, 2),
        }
        waited, worked = state.data_seconds, state.seconds
        if state.columns != list(values):  # of an older version, which logged less
            by_name = [dict(zip(state.columns, row, strict=True)) for row in state.rows]
            state.rows = [[row.get(name, math.nan) for name in values] for row in by_name]
            state.columns = list(values)
        state.rows.append(list(values.values()))
        state.epoch, state.step, state.loss_sum, state.good_steps = state.epoch + 1, 0, 0.0, 0
        state.seconds = state.data_seconds = 0.0
        self.group.on_main(lambda: self._write_epoch(scores, is_best=is_best))
        self.tracker.epoch(state.epoch, values)
        left = (time.monotonic() - self._began) / max(1, self._done - self._begun_at) * (self.total - self._done)
        self.progress.say(epoch_line(plan.config, values, is_best, left))
        tell_waiting(plan, state.epoch, waited / max(worked, 1e-9), self.progress)

    def _note_best(self, scores: Scores, evaluation: Evaluation) -> bool:
        value: float = getattr(scores, self.plan.config.metric)
        score = value if math.isfinite(value) and math.isfinite(evaluation.loss) else -0.5
        if score <= self.state.best_score:
            return False
        self.state.best_score, self.state.best_epoch = score, self.state.epoch + 1
        self.state.best_counts = torch.from_numpy(evaluation.confusion.counts)
        return True

    def _checkpoint(self, scores: Scores) -> Checkpoint:
        plan = self.plan
        reached = {"epoch": self.state.epoch, "scores": scores.as_dict()}
        weights = self.engine.scored.state_dict()
        return Checkpoint(plan.config, plan.spec, plan.classes, plan.preprocess, weights, reached)

    def _write_epoch(self, scores: Scores, *, is_best: bool) -> None:
        checkpoint = self._checkpoint(scores)
        if is_best:
            checkpoint.save(self.run.best)
        checkpoint.save(self.run.last)
        self.run.write_log(self.state.columns, self.state.rows)
        self._write_state()  # last: resuming finds all that this epoch left
        self._keep_good_state()

    def _save_state(self) -> None:
        """In the main process; the others learn whether it could be written."""
        self.group.on_main(self._write_state)
        self._saved = time.monotonic()

    def _write_state(self) -> None:
        save_state(self.run.state, self.engine.freeze_state(self.state, self.plan.fingerprint))
        self._saved = time.monotonic()

    def begin(self, *, fresh: bool) -> None:
        """Files that a run has from the start: killed from now on, it can go on."""
        if fresh:
            self._write_state()
        self._keep_good_state()

    def _keep_good_state(self) -> None:
        """If an epoch has just ended well: a fixed point to go back to, whenever the run was stopped or saved since.

        A run of an older version has none yet.
        """
        has_ended_well = self.state.step == 0 and not self.state.bad_steps
        if has_ended_well or not self.run.good_state.is_file():
            keep_as(self.run.state, self.run.good_state)

    def _stop(self, where: str) -> None:
        if not self.group.is_main:
            raise StoppedWithOthers(Interrupted.exit_code)
        raise Interrupted(
            f"stopped {where}; nothing is lost. Go on with: seg train --resume {shlex.quote(str(self.run.root))}"
        )

    def _go_back(self) -> State:
        """To the last good state, with a lower learning rate."""
        self.state = self.setbacks.last_good(self.state)
        self._set_mode()
        self._save_state()  # a kill must not bring the old learning rate back
        self.progress.end()
        self.progress.warn(
            f"{BAD_STEPS} steps in a row had no finite loss. Back to the last good state (epoch {self.state.epoch + 1}, "
            f"step {self.state.step}) with half the learning rate, {self._lr(self._done):.1e}."
        )
        self._begin_epoch()
        return self.state

    def _begin_epoch(self) -> None:
        of = f"{self.state.epoch + 1}/{self.plan.config.epochs}"
        self.progress.begin(f"Epoch {of}", self.loader.steps - self.state.step)

    def _set_mode(self) -> None:
        """Learning, the encoder at rest if its time has not come."""
        config, model = self.plan.config, self.engine.model
        assert config.freeze_epochs is not None
        model.train()
        model.freeze_encoder(self.state.epoch < config.freeze_epochs)

    def _tell_cost(self) -> None:
        if self.plan.device.handle.type == "cpu" and self._done - self._begun_at == _TIMED_STEPS:
            seconds = (time.monotonic() - self._began) / _TIMED_STEPS
            tell_cost(self.plan.config, seconds, self.total - self._begun_at, self.progress)
