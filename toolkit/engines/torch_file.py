"""What the two kinds of files have in common that PyTorch itself runs."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from toolkit.engines.base import CARD_KEY, Engine, ModelCard
from toolkit.engines.network import network_input
from toolkit.engines.outcome import require_logits, short
from toolkit.engines.torch_engine import settle_device
from toolkit.errors import CheckpointError, RunError, UsageError
from toolkit.files import read_file
from toolkit.models.device import is_out_of_memory

_LARGEST = 16 << 30


class TorchFileEngine(Engine):
    """A network from a file on PyTorch, on a CPU or a GPU; in 16 bits by autocast."""

    def __init__(self, name: str, network: Any, card: str | bytes, path: Path, precision: str, device: str) -> None:
        self.name = name
        text = card.decode("utf-8", "replace") if isinstance(card, bytes) else card
        if not text:
            raise CheckpointError(f"{path}: was not written by seg: it names no classes (nothing under '{CARD_KEY}').")
        self.card = ModelCard.from_json(text, path)
        self._place, self.precision = settle_device(device, precision)
        self.device = self._place.handle
        self._network = network.to(self.device)
        self._path = path

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        N, h, w = images.shape[:3]
        with torch.inference_mode(), self._place.autocast():
            batch = network_input(self.card, images.to(self.device, non_blocking=True))
            try:
                logits: torch.Tensor = self._network(batch).float()
            except Exception as error:  # RuntimeError, AssertionError of torch.export's checks, and their kin
                if is_out_of_memory(error):
                    raise
                raise RunError(f"{self._path}: failed at {N} x {h} x {w} pixels: {short(error)}") from None
        return require_logits(logits, images, self.card, self._path)


def read_torch_file(path: Path) -> bytes:
    """The bytes of a file, once its archive is known to be sound. Raises CheckpointError."""
    data = read_file(path, _LARGEST, CheckpointError)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            damaged = archive.testzip()  # PyTorch's readers do not look
    except Exception:  # zipfile raises whatever its parser meets, also struct and Unicode errors
        raise CheckpointError(f"{path}: damaged, or no model at all. Copy or export it again.") from None
    if damaged is not None:
        raise CheckpointError(f"{path}: damaged, in its part {damaged}. Copy or export it again.")
    return data


def require_full_precision(name: str, card: ModelCard) -> None:
    """Raise UsageError for a card that promises 16 bits: these files hold weights as the checkpoint does."""
    if card.precision != "fp32":
        raise UsageError(f"precision: {name} files hold fp32, not {card.precision}; they can be run in bf16.")
