"""`seg train --dry-run`: everything up to a few steps, timed; nothing is written."""

import time
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import torch

from toolkit.data.dataset import VocSamples
from toolkit.data.loaders import TrainingLoader
from toolkit.errors import RunError
from toolkit.progress import SILENT, Progress
from toolkit.runs.config import TrainConfig
from toolkit.training.evaluate import evaluate
from toolkit.training.group import Group, join_group, leave_group
from toolkit.training.memory import peak_memory, settle_batch
from toolkit.training.parts import at_a_time, make_engine, training_loader, validation_loader
from toolkit.training.plan import Plan, make_plan, with_way_out
from toolkit.training.setbacks import explained
from toolkit.training.state import Engine
from toolkit.training.step import Stepper, TooLarge
from toolkit.training.talk import announce

_STEPS = 3
_PICTURES = 3


@dataclass(frozen=True)
class Rehearsal:
    """What a training would take.

    steps              of the optimizer in an epoch
    step_seconds       one step with the whole model learning, data included; data_seconds is their part
    resting_seconds    one step with the encoder at rest
    picture_seconds    scoring one validation image
    seconds            estimate for all epochs
    memory             bytes at the highest point so far, of the device or of this process
    """

    config: dict[str, Any]
    classes: tuple[str, ...]
    class_weights: tuple[float, ...] | None
    train_images: int
    val_images: int
    parameters: int
    device: str
    steps: int
    step_seconds: float
    data_seconds: float
    resting_seconds: float
    picture_seconds: float
    seconds: float
    memory: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def rehearse(config: TrainConfig, progress: Progress = SILENT) -> Rehearsal:
    """Check the data, build everything, time a few steps and a few validation images, and stop.

    Raises what `train` raises before its first step; RunError if the memory is too small.
    """
    group = join_group(config.device)
    config = replace(config, cache="none")  # what takes long and much room is not made for a question
    progress = progress if group.is_main else SILENT
    try:
        with explained(config):
            return _rehearsed(config, group, progress)
    finally:
        leave_group(group)
        progress.end()


def _rehearsed(config: TrainConfig, group: Group, progress: Progress) -> Rehearsal:
    plan = group.main_first(lambda: make_plan(config, progress))
    engine = make_engine(plan)
    plan = settle_batch(plan, engine, group, progress)
    announce(plan, progress)
    with closing(training_loader(plan, group, at_a_time(plan, group), progress)) as loader:
        learning, data = _step_seconds(plan, engine, group, loader, frozen=False)
        frozen = bool(plan.config.freeze_epochs)
        resting = _step_seconds(plan, engine, group, loader, frozen=True)[0] if frozen else learning
        steps = loader.steps
    picture = _picture_seconds(plan, engine, group)
    return _summary(plan, group, steps, learning, data, resting, picture)


def _step_seconds(
    plan: Plan, engine: Engine, group: Group, loader: TrainingLoader, *, frozen: bool
) -> tuple[float, float]:
    """Seconds of a step and, of these, of waiting for its images: medians, the first step left out if there are more."""
    engine.model.train()
    engine.model.freeze_encoder(frozen)
    stepper = Stepper(plan, engine, group)
    steps = loader.epoch(0)
    whole, waits, read = [], [], 0
    for number in range(min(_STEPS + 1, loader.steps)):
        began = time.monotonic()
        batches = next(steps)
        waits.append(time.monotonic() - began)
        unread = [error for batch in batches for error in batch.unread]
        read += sum(len(batch.stems) for batch in batches)
        failed = with_way_out(unread[0]) if unread and plan.config.on_bad_image == "stop" else None
        try:
            stepper.step(batches, 0.0, number, loader.images(number), failed=failed)
        except TooLarge:
            error = "out of memory. seg train would compute a step in smaller parts; --batch auto finds how many fit."
            group.fail(RunError(f"{plan.device}: {error}"))
        whole.append(time.monotonic() - began)
    if not group.any(read > 0):
        group.fail(RunError(f"none of the training images of the first {len(whole)} steps could be read."))
    later = slice(1, None) if len(whole) > 1 else slice(None)
    return median(whole[later]), median(waits[later])


def _picture_seconds(plan: Plan, engine: Engine, group: Group) -> float:
    few = VocSamples(plan.folder, plan.val.stems[: _PICTURES * group.world])
    # without processes: starting them takes longer than so few pictures
    loader = validation_loader(replace(plan, val=few, config=replace(plan.config, workers=0)), group)
    found = evaluate(
        engine.model, loader, plan.preprocess, plan.loss, plan.device, unread=lambda error: None, group=group
    )
    return found.seconds / max(1, len(loader.indices))


def _summary(
    plan: Plan, group: Group, steps: int, learning: float, data: float, resting: float, picture: float
) -> Rehearsal:
    config, device = plan.config, plan.device.handle
    assert config.freeze_epochs is not None
    scoring = config.epochs * picture * len(plan.val) / group.world
    seconds = steps * (config.freeze_epochs * resting + (config.epochs - config.freeze_epochs) * learning) + scoring
    return Rehearsal(
        config=config.as_dict(),
        classes=plan.classes.names,
        class_weights=None if plan.weights.weights is None else tuple(float(w) for w in plan.weights.weights),
        train_images=len(plan.train),
        val_images=len(plan.val),
        parameters=sum(p.numel() for p in plan.model.parameters()),
        device=str(plan.device),
        steps=steps,
        step_seconds=learning,
        data_seconds=data,
        resting_seconds=resting,
        picture_seconds=picture,
        seconds=seconds,
        memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_memory(),
    )
