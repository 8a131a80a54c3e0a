"""From a configuration, or from a run that was stopped, to a trained model."""

import json
import platform
import shlex
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import toolkit
from toolkit.errors import CheckpointError, DatasetError, Interrupted, RunError, SegError, UsageError
from toolkit.files import held, remove_partial_files, write_bytes, write_text
from toolkit.metrics import Confusion, Scores
from toolkit.models.entry import refuse_own_code
from toolkit.models.weights.load import imagenet_of
from toolkit.progress import SILENT, Progress
from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder
from toolkit.runs.state import load_state
from toolkit.training.group import Group, join_group, leave_group
from toolkit.training.loop import Training
from toolkit.training.memory import settle_batch
from toolkit.training.parts import at_a_time, make_engine, training_loader, validation_loader
from toolkit.training.plan import Plan, make_plan
from toolkit.training.setbacks import KILLED, explained
from toolkit.training.state import Engine, State
from toolkit.training.talk import announce, what_was_not_found
from toolkit.training.textlog import TextLog
from toolkit.training.tracking.services import check_track
from toolkit.training.tracking.tracker import Tracker, open_trackers


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
        """The checkpoint with the highest score."""
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
    allow_code: bool = False,
    progress: Progress = SILENT,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainReport:
    """Train a model; the run's folder is `out` (new or empty) or the next `runs/train-N`.

    resume        a run's folder: go on where it stopped, with its own options; `config` and `out` are not used
    allow_code    to resume a run whose model is code of your own, `py:module:callable`
    should_stop   asked after every step; when true the state is saved and Interrupted is raised

    Started as one of several processes (torchrun), all of them train one model together.
    Raises DatasetError, UsageError or CheckpointError before the first step, RunError if training cannot go on.
    """
    existing = RunFolder.existing(Path(resume)) if resume is not None else None
    config = TrainConfig.read(existing.config) if existing else config or TrainConfig()
    if existing and not allow_code:
        refuse_own_code(config.model)
    check_track(config.track)
    group = join_group(config.device)
    log = TextLog(progress if group.is_main else SILENT)
    try:
        with explained(config):
            return _train(config, existing, out, group, log, should_stop)
    except SegError as error:
        log.note(f"{type(error).__name__}: {error}")
        raise
    finally:
        leave_group(group)
        progress.end()


def _train(
    config: TrainConfig,
    existing: RunFolder | None,
    out: Path | str | None,
    group: Group,
    progress: TextLog,
    should_stop: Callable[[], bool],
) -> TrainReport:
    saved: dict[str, Any] | None = None
    if existing is not None:
        if not Path(config.dataset).exists():
            raise DatasetError(
                f"{config.dataset}: there is no such folder, which {existing.config} names as dataset. Go on from the "
                "folder where the run was started, or correct the path there."
            )
        # killed before its first save, it begins where it began; a state that was there and is gone is an error
        has_state = group.share(any(path.is_file() for path in (existing.state, existing.log, existing.last)))
        saved = group.on_main(lambda: load_state(existing.state)) if has_state else None
    plan = group.main_first(lambda: make_plan(config, progress, fresh=saved is None))
    group.agree(_other_data(plan, group, existing, saved))
    plan = _like_the_main_one(plan, group)
    engine = make_engine(plan)
    plan = settle_batch(plan, engine, group, progress)
    run = existing or group.on_main(lambda: _new_run(plan, out))
    busy = f"{run.root}: another process trains it at this moment. Wait for it, or stop it first."
    with ExitStack() as lock:
        group.on_main(lambda: lock.enter_context(held(run.root / ".lock", busy)))
        return _go_on(plan, run, group, engine, saved, progress, should_stop, resumed=existing is not None)


def _go_on(
    plan: Plan,
    run: RunFolder,
    group: Group,
    engine: Engine,
    saved: dict[str, Any] | None,
    progress: TextLog,
    should_stop: Callable[[], bool],
    *,
    resumed: bool,
) -> TrainReport:
    if group.is_main:
        for folder in (run.root, run.best.parent):
            remove_partial_files(folder)
        progress.write_to(run.text_log)
    announce(plan, progress)
    progress.say(f"Run: {run.root}")
    state = _restored(engine, saved, plan, run, group) if saved else State(skipped=list(plan.unread))
    if state.micro is None:
        state.micro = at_a_time(plan, group)
    if saved and state.world != group.world:
        progress.warn(
            f"the run was trained by {state.world} processes and goes on with {group.world}: it ends with other bytes."
        )
    tracker = open_trackers(plan.config.track, run, plan.config, resumed, progress) if group.is_main else Tracker()
    finished = False
    try:
        with closing(training_loader(plan, group, state.micro, progress)) as loader:
            validation = validation_loader(plan, group)
            training = Training(plan, run, group, engine, state, loader, validation, progress, tracker, should_stop)
            group.on_main(lambda: training.begin(fresh=saved is None))
            _fit(training)
        finished = True
    finally:
        tracker.close(finished=finished)
    return _report(plan, run, training.state, progress)


def _fit(training: Training) -> None:
    try:
        training.fit()
    except RuntimeError as error:
        if KILLED not in str(error):
            raise
        way_on = f"Go on from the last save with: seg train --resume {shlex.quote(str(training.run.root))}"
        if training.should_stop():  # whoever asked for it told the processes that load images, too
            raise Interrupted(f"stopped in the middle of a step. {way_on}") from None
        raise RunError(
            "a process that loads images was killed, probably for want of memory. Use fewer --workers (now "
            f"{training.plan.config.workers}) in a new run. {way_on}"
        ) from None


def _restored(engine: Engine, saved: dict[str, Any], plan: Plan, run: RunFolder, group: Group) -> State:
    try:
        state = engine.restore(saved)
        if state.best_counts is not None and state.best_counts.shape != (len(plan.classes),) * 2:
            raise ValueError("another number of classes")
        if min(state.epoch, state.step) < 0 or (state.micro is not None and state.micro < 1):
            raise ValueError("impossible numbers")
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        rule = "does not fit the options in"
        group.fail(
            CheckpointError(
                f"{run.state}: {rule} {run.config} ({reason}). One of the two is not of this run, or was changed."
            )
        )
    return state


def _like_the_main_one(plan: Plan, group: Group) -> Plan:
    """All processes start with the same weights and settled options, whatever each could download or read."""
    config, rest = group.share((plan.config, _rest_of(plan)))
    group.agree(
        None
        if rest == _rest_of(plan)
        else UsageError(
            f"options lead to something else in process {group.rank} ({_rest_of(plan)}) than in 0 ({rest})."
        )
    )
    group.give_all(plan.model.state_dict().values())
    return replace(plan, config=config)


def _rest_of(plan: Plan) -> str:
    weights = None if plan.weights.weights is None else [float(weight) for weight in plan.weights.weights]
    return f"{plan.device.amp}, class weights {weights}, augmentation {plan.augment.as_dict()}"


def _other_data(
    plan: Plan, group: Group, existing: RunFolder | None, saved: dict[str, Any] | None
) -> DatasetError | None:
    """The error if this is not the dataset that the run was started with, or not that of the other processes."""
    if group.share(plan.fingerprint) != plan.fingerprint:
        return DatasetError(f"{plan.folder.root}: classes, lists or masks differ from those of the first process.")
    if saved is not None and existing is not None and group.is_main and saved["fingerprint"] != plan.fingerprint:
        return DatasetError(
            f"{plan.folder.root}: its classes or lists changed since {existing.root} was started. Start a new run."
        )
    return None


def _new_run(plan: Plan, out: Path | str | None) -> RunFolder:
    run = RunFolder.create(Path(out) if out is not None else None)
    write_bytes(run.config, plan.config.to_yaml().encode(), durable=True)
    write_text(run.manifest, json.dumps(_manifest(plan), indent=2, ensure_ascii=False) + "\n")
    return run


def _report(plan: Plan, run: RunFolder, state: State, progress: Progress) -> TrainReport:
    confusion = Confusion(len(plan.classes))
    if state.best_counts is not None:
        confusion.counts += state.best_counts.numpy()
    scores = confusion.scores(plan.classes.names)
    warning = what_was_not_found(
        confusion, scores, state.epoch, plan.weights.method, imagenet=bool(imagenet_of(plan.model))
    )
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
