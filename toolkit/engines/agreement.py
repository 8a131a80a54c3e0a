"""Whether a converted network computes what the model does, also at sizes that its converter has not seen."""

from collections.abc import Callable

import torch

from toolkit.engines.base import ModelCard
from toolkit.engines.network import Network, unseen
from toolkit.errors import RunError
from toolkit.models.base import SegmentationModel

_TOLERANCE = 1e-3

_SHARE = 0.01
"""Of the logits, which may be apart further: SegNet puts a value elsewhere if two numbers differ in their last digit. A
picture's outermost pixels, the first to be wrong, are more than that."""


def require_same(
    name: str, model: SegmentationModel, card: ModelCard, network: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """Raise RunError, naming the format, unless the logits differ by less than a thousandth of the largest one.

    network   what was made of it, from what a Network takes to float32 logits
    """
    original = Network(model, card).eval()
    original.model = model  # itself, not what stands for it in a graph
    for images in unseen(card):
        where = f"{card.model} at {' x '.join(str(length) for length in images.shape)}"
        with torch.inference_mode():
            expected = original(images)
            try:
                found = network(images)
            except Exception as error:  # each runtime has its own
                reason = " ".join(str(error).split())[-200:]
                raise RunError(f"{name}: {where} fails: {reason} Choose another format.") from None
        if found.shape != expected.shape:
            raise RunError(
                f"{name}: {where} gives logits of shape {tuple(found.shape)}, the model {tuple(expected.shape)}. "
                "Choose another format."
            )
        fits = (found - expected).abs() <= _TOLERANCE * expected.abs().max()
        if 1 - fits.float().mean() > _SHARE:
            raise RunError(f"{name}: {where} gives other logits than the model. Choose another format.")
