"""Scores of a model on images with masks, at the original size."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from toolkit.data.loaders import ValidationLoader
from toolkit.data.preprocess import Preprocess
from toolkit.errors import SegError
from toolkit.metrics import Confusion
from toolkit.models.base import SegmentationModel
from toolkit.models.device import Device
from toolkit.progress import SILENT, Progress
from toolkit.training.group import ALONE, Group


@dataclass(frozen=True)
class Evaluation:
    """The confusion matrix on original-size masks, and the mean loss over images at network size."""

    confusion: Confusion
    loss: float
    seconds: float


def evaluate(
    model: SegmentationModel,
    samples: ValidationLoader,
    preprocess: Preprocess,
    loss: nn.Module,
    device: Device,
    *,
    unread: Callable[[SegError], None],
    group: Group = ALONE,
    progress: Progress = SILENT,
) -> Evaluation:
    """Predict every sample and compare it with its mask; leaves the model in evaluation mode.

    The processes of a group share the samples; each sample is computed alone, so that the outcome is the same for
    any number of processes. `unread` is told of samples that cannot be read; what it raises ends all processes.
    """
    began = time.monotonic()
    model.eval()
    confusion = Confusion(samples.samples.classes)
    losses = torch.full((len(samples.samples),), 0.0, dtype=torch.float64)
    scored = torch.zeros(len(losses), dtype=torch.float64)
    failed: SegError | None = None
    with torch.inference_mode():
        for index, sample in progress.track(samples, "Validating", len(samples.indices)):
            if isinstance(sample, SegError):
                try:
                    unread(sample)
                except SegError as error:
                    failed = error
                    break
                continue
            images = preprocess.normalise(torch.from_numpy(sample.image)[None].to(device.handle))
            images = images.contiguous(memory_format=device.memory_format)
            targets = torch.from_numpy(sample.target)[None].to(device.handle).long()
            with device.autocast():
                logits = model(images)
            losses[index], scored[index] = float(loss(logits, targets)), 1
            prediction = preprocess.undo(logits[0], (sample.truth.shape[0], sample.truth.shape[1]))
            confusion.add(sample.truth, prediction)
    group.agree(failed)
    group.sum(torch.from_numpy(confusion.counts))
    group.sum(losses)
    group.sum(scored)
    count = float(scored.sum())
    loss_mean = math.fsum(losses.tolist()) / count if count else math.nan
    return Evaluation(confusion, loss_mean, time.monotonic() - began)
