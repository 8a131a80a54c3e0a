"""What every engine promises: pictures as bytes go in, logits come out, whatever computes them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from toolkit.data.preprocess import Preprocess
from toolkit.engines.precision import PRECISIONS
from toolkit.errors import CheckpointError, DataError
from toolkit.labels.classmap import ClassMap

CARD_KEY = "seg"
"""Under which a model file keeps its card, as JSON text."""

_FORMAT = 1


@dataclass(frozen=True)
class ModelCard:
    """What a model file says of itself: all that predicting needs beside the network.

    classes      names in id order
    preprocess   size rule and normalisation
    model        the architecture, as `seg models` names it
    raw_input    the network takes uint8 (N, h, w, 3) RGB and normalises by itself, instead of float32 (N, 3, h, w)
    precision    of the numbers in the file: "fp32", "bf16", "fp16" or "int8"
    """

    classes: ClassMap
    preprocess: Preprocess
    model: str
    raw_input: bool = False
    precision: str = "fp32"

    def as_json(self) -> str:
        """The text that is embedded; it names the colours too, for programs that know no palette."""
        return json.dumps(
            {
                "format": _FORMAT,
                "model": self.model,
                "classes": list(self.classes.names),
                "colors": self.classes.colors[: len(self.classes)].tolist(),
                "preprocess": self.preprocess.as_dict(),
                "raw_input": self.raw_input,
                "precision": self.precision,
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str, path: Path) -> "ModelCard":
        """The inverse of `as_json`. Raises CheckpointError naming the file."""
        try:
            values: dict[str, Any] = json.loads(text)
            if values["format"] != _FORMAT:
                raise CheckpointError(
                    f"{path}: its description has format {values['format']}, this version reads {_FORMAT}. "
                    "Update seg-toolkit."
                )
            return cls(
                classes=ClassMap(tuple(str(name) for name in values["classes"])),
                preprocess=Preprocess.from_dict(values["preprocess"]),
                model=str(values["model"]),
                raw_input=bool(values["raw_input"]),
                precision=_one_of(values["precision"], PRECISIONS),
            )
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, DataError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{path}: its description is damaged ({error!r}). Export the model again.") from None


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"precision {value!r}")
    return str(value)


class Engine:
    """A network ready to compute, on some runtime. Several threads may call `logits` at a time.

    name        of the runtime: "torch", "onnxruntime", "openvino", ...
    precision   what it computes in: "fp32", "bf16", "fp16" or "int8"
    card        what the model file says of itself
    device      where logits are
    """

    name: str
    precision: str
    card: ModelCard
    device: torch.device = torch.device("cpu")

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (N, h, w, 3) RGB in 0..255 -> float32 (N, K, r h, r w) on `device`; r: `card.preprocess.upscale`.

        h and w are multiples of `card.preprocess.stride`. The images lie on the CPU.
        """
        raise NotImplementedError

    def __str__(self) -> str:
        return f"{self.name}, {self.precision}"
