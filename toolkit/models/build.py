"""A model by its name."""

from toolkit.models import MODELS
from toolkit.models.base import ModelSpec, SegmentationModel


def build_model(name: str, classes: int, *, in_channels: int = 3, width: int | None = None) -> SegmentationModel:
    """A model of the table with random weights, on the CPU, in training mode.

    Raises UsageError for an unknown name or a width where the model has no choice of it.
    """
    model: SegmentationModel = MODELS.load(name)(ModelSpec(classes, in_channels, width))
    return model
