"""Whether a converted network computes what the model does, also at sizes that its converter has not seen."""

from collections.abc import Callable

import torch

from toolkit.engines.base import ModelCard
from toolkit.engines.network import Network, unseen
from toolkit.errors import RunError
from toolkit.models.base import SegmentationModel

_TOLERANCE = 1e-3

_SHARE = 0.01
"""Of a picture's logits, which may be apart further: its outermost pixels, the first to be wrong, are more than that."""

_ATTEMPTS = 4
"""SegNet puts a value elsewhere if two numbers differ in their last digit, which spoils many logits of a few pictures; a
network that is wrong is wrong for all."""


def require_same(
    name: str, model: SegmentationModel, card: ModelCard, network: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """Raise RunError, naming the format, unless the logits differ by less than a thousandth of the largest one.

    network   what was made of it, from what a Network takes to float32 logits
    """
    original = Network(model, card).eval()
    original.model = model  # itself, not what stands for it in a graph
    wrong = [torch.ones(len(images), dtype=torch.bool) for images in unseen(card)]
    for attempt in range(_ATTEMPTS):
        wrong = [
            before & _wrong(name, card, original, network, images)
            for before, images in zip(wrong, unseen(card, attempt), strict=True)
        ]
        if not any(pictures.any() for pictures in wrong):
            return
    place = next(place for place, pictures in enumerate(wrong) if pictures.any())
    raise RunError(
        f"{name}: {_where(card, unseen(card)[place])} gives other logits than the model. Choose another format."
    )


def _wrong(
    name: str,
    card: ModelCard,
    original: Network,
    network: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
) -> torch.Tensor:
    """bool (N,): of which pictures the logits are others."""
    with torch.inference_mode():
        expected = original(images)
        try:
            found = network(images)
        except Exception as error:  # each runtime has its own
            reason = " ".join(str(error).split())[-200:]
            raise RunError(f"{name}: {_where(card, images)} fails: {reason} Choose another format.") from None
    if found.shape != expected.shape:
        raise RunError(
            f"{name}: {_where(card, images)} gives logits of shape {tuple(found.shape)}, the model "
            f"{tuple(expected.shape)}. Choose another format."
        )
    fits = (found - expected).abs() <= _TOLERANCE * expected.abs().max()  # not a number: never
    return torch.gt(1 - fits.float().mean(dim=(1, 2, 3)), _SHARE)


def _where(card: ModelCard, images: torch.Tensor) -> str:
    return f"{card.model} at {' x '.join(str(length) for length in images.shape)}"
