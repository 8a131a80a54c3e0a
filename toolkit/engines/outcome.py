"""What came out of a runtime: logits, or why not."""

import contextlib
import logging
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import torch

from toolkit.engines.base import ModelCard
from toolkit.errors import RunError

_INSIDE = re.compile(
    r"(Exception from |Check '[^']*' failed at )?\S+\.(cpp|hpp|cc|h):\d+:? ?|\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : "
    r"|Load model from .* failed: ?|Please check that .*"
)
"""Where in other people's programs something failed, and advice to their programmers."""


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
    """The text of somebody else's error, which may be pages long, on one line, without the files of its makers."""
    text = " ".join(_INSIDE.sub("", str(error)).split()).removesuffix(".")
    return textwrap.shorten(text, 240, placeholder=" ...") or type(error).__name__


@contextlib.contextmanager
def without_log() -> Iterator[None]:
    """What libraries log as advice would appear among what seg says."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
