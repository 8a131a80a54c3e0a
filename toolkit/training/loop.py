"""The training loop, in the open: step, evaluate, save, log, in order."""

import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import toolkit
from toolkit.data.dataset import Batch, TrainingSamples
from toolkit.data.loaders import TrainingLoader
from toolkit.data.transforms import augment_by_name
from toolkit.errors import DatasetError, Interrupted, RunError
from toolkit.files import write_text
from toolkit.metrics import Confusion, Scores
from toolkit.progress import SILENT, Progress
from toolkit.runs.checkpoint import Checkpoint, load_state, save_state
from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder
from toolkit.training.evaluate import evaluate
from toolkit.training.optim import lr_at, make_optimizer
from toolkit.training.plan import Plan, make_plan
from toolkit.training.state import Engine, State
from toolkit.training.talk import announce, epoch_line, tell_cost, what_was_not_found

_MEANS = ("miou", "pixel_accuracy", "mean_recall", "mean_precision", "fw_iou")
_TIMED_STEPS = 3


@dataclass(frozen=True)
class TrainReport:
    """What a training run ended with.

    epochs      how many were trained; best_epoch counts from 1
    scores      of the best epoch on the validation images, whose stems are val_stems
    """

    run: RunFolder
    classes: tuple[str, ...]
    epochs: int
    best_epoch: int
    scores: Scores
    val_stems: tuple[str, ...]

    @property
    def best(self) -> Path:
        """The checkpoint with the highest mIoU."""
        return self.run.best

    @property
    def last(self) -> Path:
        """The checkpoint after the last epoch."""
        return self.run.last

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "run": str(self.run.root),
            "best": str(self.best),
            "last": str(self.last),
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "scores": self.scores.as_dict(),
        }


def train(
    config: TrainConfig | None = None,
    *,
    out: Path | str | None = None,
    resume: Path | str | None = None,
    progress: Progress = SILENT,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainReport:
    """Train a model; the run's folder is `out` (new or empty) or the next `runs/train-N`.

    resume        a run's folder: go on where it stopped, with its own options; `config` and `out` are not used
    should_stop   asked after every step; when true the state is saved and Interrupted is raised

    Raises DatasetError, UsageError or CheckpointError before the first step, RunError if training cannot go on.
    """
    saved = None
    if resume is not None:
        run = RunFolder.existing(Path(resume))
        plan = make_plan(TrainConfig.read(run.config), progress, fresh=False)
        saved = load_state(run.state)
        if saved["fingerprint"] != plan.fingerprint:
            raise DatasetError(
                f"{plan.folder.root}: its classes or lists changed since {run.root} was started. Start a new run."
            )
    else:
        plan = make_plan(config or TrainConfig(), progress)
        run = RunFolder.create(Path(out) if out is not None else None)
        write_text(run.config, plan.config.to_yaml())
        write_text(run.manifest, json.dumps(_manifest(plan), indent=2, ensure_ascii=False) + "\n")
    announce(plan, run, progress)
    loader = _loader(plan)
    try:
        return _train(plan, run, loader, saved, progress, should_stop)
    except torch.OutOfMemoryError:
        size = f"batch {plan.config.batch}, size {plan.config.size}"
        raise RunError(f"{plan.device}: out of memory at {size}. Use a smaller --batch or --size.") from None
    finally:
        loader.close()
        progress.end()


def _train(
    plan: Plan,
    run: RunFolder,
    loader: TrainingLoader,
    saved: dict[str, Any] | None,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> TrainReport:
    config, model, on = plan.config, plan.model, plan.device.handle
    assert config.lr is not None and config.freeze_epochs is not None
    scaler = torch.amp.GradScaler(on.type, enabled=plan.device.amp is torch.float16)
    engine = Engine(model, make_optimizer(config, model.parameters(), on), scaler)
    state = engine.restore(saved) if saved else State()
    total = config.epochs * loader.steps
    warmup = min(round(config.warmup_epochs * loader.steps), total // 2)
    begun_at, began = state.epoch * loader.steps + state.step, time.monotonic()

    while state.epoch < config.epochs and not state.is_patience_over(config):
        epoch_began = time.monotonic()
        model.train()
        model.freeze_encoder(state.epoch < config.freeze_epochs)
        progress.begin(f"Epoch {state.epoch + 1}/{config.epochs}", loader.steps - state.step)
        for batch in loader.epoch(state.epoch, state.step):
            done = state.epoch * loader.steps + state.step
            lr = lr_at(done, total, warmup, config.lr, config.schedule)
            torch.manual_seed((config.seed * 1_000_003 + done) % 2**63)  # dropout draws depend on the step alone
            loss = _step(plan, engine, batch, lr)
            state.loss_sum += loss
            state.step += 1
            progress.advance(f"loss {loss:.3f}")
            if on.type == "cpu" and done + 1 - begun_at == _TIMED_STEPS:
                tell_cost(config, (time.monotonic() - began) / _TIMED_STEPS, total - begun_at, progress)
            if should_stop():
                progress.end()
                save_state(run.state, engine.freeze_state(state, plan))
                raise _interrupted(run, f"in epoch {state.epoch + 1}")
        progress.end()

        result = evaluate(model, plan.val, plan.preprocess, len(plan.classes), plan.loss, plan.device, progress)
        scores = result.confusion.scores(plan.classes.names)
        is_best = _note_best(state, scores, result.confusion)
        means = [getattr(scores, name) for name in _MEANS]
        losses = [state.loss_sum / loader.steps, result.loss]
        seconds = round(time.monotonic() - epoch_began, 2)
        lr = lr_at((state.epoch + 1) * loader.steps - 1, total, warmup, config.lr, config.schedule)
        state.rows.append([state.epoch + 1, lr, *losses, *means, *scores.iou, seconds])
        state.epoch, state.step, state.loss_sum = state.epoch + 1, 0, 0.0

        checkpoint = _checkpoint(plan, state.epoch, scores)
        if is_best:
            checkpoint.save(run.best)
        checkpoint.save(run.last)
        run.write_log(_columns(plan), state.rows)
        save_state(run.state, engine.freeze_state(state, plan))  # last: resuming finds all that this epoch left
        done = state.epoch * loader.steps
        left = (time.monotonic() - began) / max(1, done - begun_at) * (total - done)
        progress.say(epoch_line(config, state.rows[-1], scores, is_best, left))
        if should_stop() and state.epoch < config.epochs:
            raise _interrupted(run, f"after epoch {state.epoch}")

    return _report(plan, run, state, progress)


def _loader(plan: Plan) -> TrainingLoader:
    config = plan.config
    assert config.workers is not None
    samples = TrainingSamples(plan.train, plan.preprocess, augment_by_name(config.augment), config.seed)
    pin_memory = plan.device.handle.type == "cuda"
    return TrainingLoader(samples, config.batch, config.workers, pin_memory=pin_memory)


def _step(plan: Plan, engine: Engine, batch: Batch, lr: float) -> float:
    """One step of the optimizer; returns the loss. Raises RunError if it is not finite."""
    for group in engine.optimizer.param_groups:
        group["lr"] = lr
    images = batch.images.to(plan.device.handle, memory_format=plan.device.memory_format, non_blocking=True)
    targets = batch.targets.to(plan.device.handle, non_blocking=True)
    with plan.device.autocast():
        logits = plan.model(images)
    loss = plan.loss(logits, targets)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise RunError(
            f"the loss became {value} at images {', '.join(batch.stems)}; finished epochs are saved. "
            "Start again with a lower --lr or with --no-amp."
        )
    engine.optimizer.zero_grad(set_to_none=True)
    engine.scaler.scale(loss).backward()
    if plan.config.clip:
        engine.scaler.unscale_(engine.optimizer)
        torch.nn.utils.clip_grad_norm_(plan.model.parameters(), plan.config.clip)
    engine.scaler.step(engine.optimizer)
    engine.scaler.update()
    return value


def _note_best(state: State, scores: Scores, confusion: Confusion) -> bool:
    miou = -0.5 if math.isnan(scores.miou) else scores.miou
    if miou <= state.best_miou:
        return False
    state.best_miou, state.best_epoch = miou, state.epoch + 1
    state.best_counts = torch.from_numpy(confusion.counts)
    return True


def _interrupted(run: RunFolder, where: str) -> Interrupted:
    return Interrupted(f"stopped {where}; nothing is lost. Go on with: seg train --resume {run.root}")


def _columns(plan: Plan) -> list[str]:
    per_class = (f"iou.{name}" for name in plan.classes.names)
    return ["epoch", "lr", "train_loss", "val_loss", *_MEANS, *per_class, "seconds"]


def _checkpoint(plan: Plan, epoch: int, scores: Scores) -> Checkpoint:
    progress = {"epoch": epoch, "scores": scores.as_dict()}
    return Checkpoint(plan.config, plan.spec, plan.classes, plan.preprocess, plan.model.state_dict(), progress)


def _report(plan: Plan, run: RunFolder, state: State, progress: Progress) -> TrainReport:
    confusion = Confusion(len(plan.classes))
    if state.best_counts is not None:
        confusion.counts += state.best_counts.numpy()
    scores = confusion.scores(plan.classes.names)
    warning = what_was_not_found(confusion, scores, state.epoch, plan.weights.method)
    if warning:
        progress.warn(warning)
    return TrainReport(run, plan.classes.names, state.epoch, state.best_epoch, scores, plan.val.stems)


def _manifest(plan: Plan) -> dict[str, Any]:
    return {
        "seg": toolkit.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": str(plan.device),
        "classes": list(plan.classes.names),
        "fingerprint": plan.fingerprint,
        "train": list(plan.train.stems),
        "val": list(plan.val.stems),
    }
