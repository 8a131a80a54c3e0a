"""Scores of a model on images with masks, at the original size."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from toolkit.data.dataset import VocSamples
from toolkit.data.preprocess import Preprocess
from toolkit.metrics import Confusion
from toolkit.models.base import SegmentationModel
from toolkit.models.device import Device
from toolkit.progress import SILENT, Progress


@dataclass(frozen=True)
class Evaluation:
    """The confusion matrix on original-size masks, and the mean loss over images at network size."""

    confusion: Confusion
    loss: float


def evaluate(
    model: SegmentationModel,
    samples: VocSamples,
    preprocess: Preprocess,
    classes: int,
    loss: nn.Module,
    device: Device,
    progress: Progress = SILENT,
) -> Evaluation:
    """Predict every sample and compare it with its mask; leaves the model in evaluation mode."""
    model.eval()
    confusion = Confusion(classes)
    losses = []
    with torch.inference_mode():
        for sample in progress.track(map(samples.__getitem__, range(len(samples))), "Validating", len(samples)):
            images = preprocess.apply(sample.image)[None].to(device.handle, memory_format=device.memory_format)
            targets = torch.from_numpy(preprocess.apply_mask(sample.mask))[None].long().to(device.handle)
            with device.autocast():
                logits = model(images)
            losses.append(float(loss(logits, targets)))
            prediction, _ = preprocess.undo(logits[0], (sample.mask.shape[0], sample.mask.shape[1]))
            confusion.add(sample.mask, prediction)
    return Evaluation(confusion, math.fsum(losses) / len(losses) if losses else float("nan"))
