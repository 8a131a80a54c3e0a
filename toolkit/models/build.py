"""A model by its name."""

from toolkit.models import MODELS
from toolkit.models.base import ModelSpec, SegmentationModel
from toolkit.models.entry import choose_model, refuse_what_it_lacks


def build_model(
    name: str, classes: int, *, in_channels: int = 3, width: int | None = None, upscale: int = 1
) -> SegmentationModel:
    """A model with random weights, on the CPU, in training mode.

    name   of the table, with parameters if it takes any (`fcn8s:upsampling=fixed`); `smp:ARCH/ENCODER`, of
           segmentation-models-pytorch; `py:module:callable`, your own, which is imported, see `toolkit.models.own`

    Raises UsageError for an unknown name or parameter, or for a width or upscale where the model has no choice of it.
    """
    chosen = choose_model(name, MODELS)
    refuse_what_it_lacks(name, chosen.entry, width, upscale)
    model: SegmentationModel = chosen.entry.load()(ModelSpec(classes, in_channels, width, upscale), **chosen.given)
    return model
