"""The network as most people run it: what exported models are compared with, in values and in time."""

import torch

from toolkit.engines.base import Engine, ModelCard
from toolkit.models.base import SegmentationModel


class PlainEngine(Engine):
    """Eager PyTorch in fp32 with channels first (N, C, H, W), on the CPU. The model stays as it is."""

    name = "torch"
    precision = "fp32"

    def __init__(self, model: SegmentationModel, card: ModelCard) -> None:
        self.card = card
        self._model = model.eval()

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self._model(self.card.preprocess.normalise(images).contiguous())
            return logits
