"""What came out of a runtime: logits, or why not."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import torch

from toolkit.engines.base import ModelCard
from toolkit.errors import RunError


def require_logits(found: torch.Tensor, images: torch.Tensor, card: ModelCard, path: Path) -> torch.Tensor:
    """float32 logits, once they have the shape that the card promises for uint8 (N, h, w, 3). Raises RunError."""
    (N, h, w), r = images.shape[:3], card.preprocess.upscale
    wanted = (N, len(card.classes), r * h, r * w)
    if tuple(found.shape) != wanted:
        raise RunError(
            f"{path}: gave {tuple(found.shape)} where logits {wanted} were expected. Export the model again."
        )
    return found.float()


def short(error: BaseException) -> str:
    """The text of somebody else's error, which may be pages long, on one line."""
    return " ".join(str(error).split())[:240] or type(error).__name__


@contextlib.contextmanager
def without_log() -> Iterator[None]:
    """What libraries log as advice would appear among what seg says."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
