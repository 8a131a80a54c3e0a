"""The weights that a training begins with."""

import contextlib
from pathlib import Path

from toolkit.errors import CheckpointError, UsageError
from toolkit.labels.classmap import ClassMap
from toolkit.models.base import SegmentationModel
from toolkit.models.weights.load import (
    LoadedWeights,
    imagenet_of,
    load_file_weights,
    load_imagenet,
    load_model_weights,
)
from toolkit.progress import Progress
from toolkit.runs.checkpoint import Checkpoint
from toolkit.runs.config import TrainConfig
from toolkit.runs.folder import RunFolder


def load_weights(
    model: SegmentationModel, config: TrainConfig, classes: ClassMap, progress: Progress
) -> LoadedWeights | None:
    """Fill the model with what it begins with and say so; None if it knows nothing yet.

    Raises CheckpointError for weights that cannot be had or do not fit, UsageError where there are none to have.
    """
    choice, imagenet = config.encoder_weights, imagenet_of(model)
    if config.weights != "none":
        best = RunFolder(Path(config.weights)).best
        path = best if best.is_file() else Path(config.weights)
        try:
            loaded = _told(load_model_weights(model, path), "Weights", progress)
        except CheckpointError as error:
            raise CheckpointError(f"{error}{_trained_as(path)}") from None
        _warn_of_differences(loaded.file or path, config.model, classes, progress)
        return loaded
    if choice == "none" or (choice == "auto" and not imagenet):
        return None
    if choice not in ("auto", "imagenet"):
        return _told(load_file_weights(model, Path(choice)), "Encoder weights", progress)
    if not imagenet:
        raise UsageError(f"encoder weights: there are no ImageNet weights for {config.model}. Use none or a FILE.")
    try:
        return _told(load_imagenet(model), "Encoder weights", progress)
    except CheckpointError as error:
        if choice == "imagenet":
            raise
        progress.warn(f"{error} Going on without learnt weights: expect to need many more images and epochs.")
        return None


def _trained_as(path: Path) -> str:
    """What a checkpoint of seg says of its model, as a sentence; nothing of other files."""
    try:
        saved = Checkpoint.load(path)
    except CheckpointError:
        return ""
    width = f" --width {saved.spec.width}" if saved.spec.width is not None else ""
    upscale = f" --upscale {saved.spec.upscale}" if saved.spec.upscale != 1 else ""
    return f" It was trained with --model {saved.config.model}{width}{upscale}."


def _warn_of_differences(path: Path, model: str, classes: ClassMap, progress: Progress) -> None:
    """Of a checkpoint whose tensors fit, although its model or its classes are others."""
    with contextlib.suppress(CheckpointError):  # other people's files name neither
        saved = Checkpoint.load(path)
        if saved.config.model != model:
            progress.warn(
                f"{path}: was trained as {saved.config.model}; as {model} its weights may mean something else."
            )
        names = saved.classes.names
        if len(names) == len(classes) and names != classes.names:
            progress.warn(
                f"{path}: was trained for {', '.join(names)}, in this order; the dataset has {', '.join(classes.names)}."
            )


def _told(loaded: LoadedWeights, what: str, progress: Progress) -> LoadedWeights:
    first, *others = loaded.lines()
    progress.say(f"{what}: {first}")
    for line in others:
        progress.say(line)
    return loaded
