"""Pictures as a network sees them, one at a time: what int8 takes the ranges of its numbers from."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from toolkit.engines.base import ModelCard
from toolkit.engines.network import network_input
from toolkit.exporting.pictures import Picture, readable
from toolkit.progress import Progress


def inputs(card: ModelCard, pictures: tuple[Picture, ...], progress: Progress) -> Iterator[npt.NDArray[np.generic]]:
    """What the network of this card takes for each picture: float32 (1, 3, h, w), or uint8 (1, h, w, 3)."""
    progress.begin("Calibrating", len(pictures))
    for _, pixels in readable(pictures, progress):
        images = torch.from_numpy(np.array(card.preprocess.fit(pixels)))[None]
        yield network_input(card, images).numpy()
        progress.advance()
    progress.end()
