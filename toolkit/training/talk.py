"""What a training run says: its plan, its cost, its epochs, and what it did not find."""

import numpy as np

from toolkit.losses.weights_table import weights_table
from toolkit.metrics import Confusion, Scores
from toolkit.progress import Progress
from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder
from toolkit.training.plan import Plan

_LONG = 1200.0  # seconds; beyond, alternatives are offered
_FOUND = 0.01  # a class of which fewer of its pixels are recognised is as good as never predicted
_STRONGER = {"none": "auto", "sqrt": "inverse", "enet": "inverse", "effective": "inverse"}
_NAMED = 5


def announce(plan: Plan, run: RunFolder, progress: Progress) -> None:
    """Say what will be trained on what, with the pixel shares and the weights that came from them."""
    config = plan.config
    parameters = sum(p.numel() for p in plan.model.parameters())
    progress.say(f"Dataset: {plan.folder.root}, {len(plan.train)} training and {len(plan.val)} validation images")
    progress.say(
        f"Model: {config.model}, {parameters:,} parameters, {plan.device}, size {config.size}, batch {config.batch}"
    )
    resting = f", encoder at rest for {config.freeze_epochs}" if config.freeze_epochs else ""
    progress.say(f"Plan: {config.epochs} epochs, {config.optimizer} from {config.lr:g}, {config.schedule}{resting}")
    progress.say(f"Class weights: {plan.weights.reason}")
    for line in weights_table(plan.weights):
        progress.say(f"  {line}")
    for warning in plan.weights.warnings:
        progress.warn(warning)
    progress.say(f"Run: {run.root}")


def tell_cost(config: TrainConfig, seconds: float, steps_left: int, progress: Progress) -> None:
    """Say on a CPU, after the first steps, what the whole run will take and what would be quicker."""
    total = seconds * steps_left
    progress.say(f"No GPU: a step takes {seconds:.2g} s here, the {config.epochs} epochs about {duration(total)}.")
    if total > _LONG:
        quicker = "" if config.model == "unet" else "--model unet --width 16, "
        progress.say(f"  Quicker on a CPU: {quicker}a smaller --size (256), fewer --epochs.")


def epoch_line(config: TrainConfig, row: list[float], scores: Scores, is_best: bool, seconds_left: float) -> str:
    """One line an epoch; `row` is its row in log.csv."""
    epoch, lr, loss, val_loss, seconds = int(row[0]), row[1], row[2], row[3], row[-1]
    return (
        f"epoch {epoch}/{config.epochs}  loss {loss:.3f}  val loss {val_loss:.3f}  mIoU {scores.miou:.3f}"
        f"{' (best)' if is_best else ''}  pixel accuracy {scores.pixel_accuracy:.3f}  lr {lr:.1e}  {seconds:.1f} s"
        + (f"  about {duration(seconds_left)} left" if epoch < config.epochs else "")
    )


def what_was_not_found(confusion: Confusion, scores: Scores, epochs: int, method: str) -> str:
    """Why scores are 0, and what may help; an empty text if every class of the validation images is found.

    method   of the class weights, as in ClassWeights
    """
    present = np.flatnonzero(confusion.counts.sum(1))
    lost = [k for k in present if scores.recall[k] < _FOUND]
    if len(present) > 1 and len(present) - len(lost) <= 1:
        only = scores.names[int(confusion.counts.sum(0).argmax())]
        return (
            f"the model predicts nothing but '{only}' on the validation images, or next to nothing: it has not learnt "
            f"enough in {epochs} epochs. Train longer, start from ImageNet weights, or try --class-weights auto."
        )
    if not lost:
        return ""
    names = ", ".join(f"'{scores.names[k]}'" for k in lost[:_NAMED])
    more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    stronger = _STRONGER.get(method, "")
    return (
        f"{'class' if len(lost) == 1 else 'classes'} {names}{more}: next to none of the pixels are found. "
        "Train longer, start from ImageNet weights, use a larger --size"
        + (f", or give small classes more weight: --class-weights {stronger}." if stronger else ", or annotate more.")
    )


def duration(seconds: float) -> str:
    """A length of time as a person would say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
