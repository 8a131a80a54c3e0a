"""What a training run says: its plan, its cost, its epochs, and what it did not find."""

import numpy as np

from toolkit.losses.weights_table import weights_table
from toolkit.metrics import Confusion, Scores
from toolkit.progress import Progress
from toolkit.runs.config import TrainConfig
from toolkit.training.plan import Plan

_LONG = 1200.0  # seconds; beyond, alternatives are offered
_FOUND = 0.01  # a class of which fewer of its pixels are recognised is as good as never predicted
_STRONGER = {"none": "auto", "sqrt": "inverse", "enet": "inverse", "effective": "inverse"}
_NAMED = 5
_WAITING = 0.25  # of the time; less is not worth a line


def announce(plan: Plan, progress: Progress) -> None:
    """Say what will be trained on what, with the pixel shares and the weights that came from them."""
    config = plan.config
    parameters = sum(p.numel() for p in plan.model.parameters())
    progress.say(f"Dataset: {plan.folder.root}, {len(plan.train)} training and {len(plan.val)} validation images")
    progress.say(
        f"Model: {config.model}, {parameters:,} parameters, {plan.device}, size {config.size}, batch {config.batch}"
        + (f" x {config.accumulate} accumulated" if config.accumulate > 1 else "")
    )
    resting = f", encoder at rest for {config.freeze_epochs}" if config.freeze_epochs else ""
    progress.say(f"Plan: {config.epochs} epochs, {config.optimizer} from {config.lr:g}, {config.schedule}{resting}")
    progress.say(f"Class weights: {plan.weights.reason}")
    for line in weights_table(plan.weights):
        progress.say(f"  {line}")
    for warning in plan.weights.warnings:
        progress.warn(warning)


def ended_early(config: TrainConfig, epoch: int, best_epoch: int) -> str:
    """Why a training ended before its last epoch."""
    score = f"the {_word(config.metric)} of epoch {best_epoch}"
    return f"Done after {epoch} epochs: {score} was not exceeded for {config.patience}."


def tell_cost(config: TrainConfig, seconds: float, steps_left: int, progress: Progress) -> None:
    """Say on a CPU, after the first steps, what the whole run will take and what would be quicker."""
    total = seconds * steps_left
    progress.say(f"No GPU: a step takes {seconds:.2g} s here, the {config.epochs} epochs about {duration(total)}.")
    if total > _LONG:
        quicker = "" if config.model == "unet" else "--model unet --width 16, "
        progress.say(f"  Quicker on a CPU: {quicker}a smaller --size (256), fewer --epochs.")


def _word(metric: str) -> str:
    return "mIoU" if metric == "miou" else metric.replace("_", " ")


def epoch_line(config: TrainConfig, row: dict[str, float], is_best: bool, seconds_left: float) -> str:
    """One line an epoch; `row` is its row in log.csv by column."""
    epoch = int(row["epoch"])
    shown = _word(config.metric)
    also = "  mIoU {miou:.3f}".format(**row) if config.metric not in ("miou", "pixel_accuracy") else ""
    return (
        f"epoch {epoch}/{config.epochs}  loss {row['train_loss']:.3f}  val loss {row['val_loss']:.3f}"
        f"  {shown} {row[config.metric]:.3f}{' (best)' if is_best else ''}{also}"
        + (f"  pixel accuracy {row['pixel_accuracy']:.3f}" if config.metric != "pixel_accuracy" else "")
        + f"  lr {row['lr']:.1e}  {row['seconds']:.1f} s"
        + (f"  about {duration(seconds_left)} left" if epoch < config.epochs else "")
    )


def tell_waiting(plan: Plan, epoch: int, share: float, progress: Progress) -> None:
    """Say after the first epoch if the device waits for pictures, and what helps."""
    if epoch != 1 or share < _WAITING:
        return
    config = plan.config
    helps = [f"more --workers (now {config.workers})"]
    if config.cache == "none":
        helps.append("--cache disk")
    progress.say(f"  {share:.0%} of the time went into waiting for pictures: {' or '.join(helps)} may help.")


def what_was_not_found(confusion: Confusion, scores: Scores, epochs: int, method: str, *, imagenet: bool) -> str:
    """Why scores are 0, and what may help; an empty text if every class of the validation images is found.

    method     of the class weights, as in ClassWeights
    imagenet   there are ImageNet weights for the model
    """
    begin = "start from ImageNet weights, " if imagenet else ""
    present = np.flatnonzero(confusion.counts.sum(1))
    lost = [k for k in present if scores.recall[k] < _FOUND]
    if len(present) > 1 and len(present) - len(lost) <= 1:
        only = scores.names[int(confusion.counts.sum(0).argmax())]
        return (
            f"the model predicts nothing but '{only}' on the validation images, or next to nothing: it has not learnt "
            f"enough in {epochs} epochs. Train longer, {begin}or try --class-weights auto."
        )
    if not lost:
        return ""
    names = ", ".join(f"'{scores.names[k]}'" for k in lost[:_NAMED])
    more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    stronger = _STRONGER.get(method, "")
    return (
        f"{'class' if len(lost) == 1 else 'classes'} {names}{more}: next to none of the pixels are found. "
        f"Train longer, {begin}use a larger --size"
        + (f", or give small classes more weight: --class-weights {stronger}." if stronger else ", or annotate more.")
    )


def duration(seconds: float) -> str:
    """A length of time as a person would say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
