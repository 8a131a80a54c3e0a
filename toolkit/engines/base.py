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
            if type(values["format"]) is not int:
                raise ValueError("its format is no number")
            if values["format"] != _FORMAT:
                raise CheckpointError(
                    f"{path}: its description has format {values['format']}, this version reads {_FORMAT}. "
                    "Update seg-toolkit."
                )
            return cls(
                classes=ClassMap.from_stored(values["classes"]),
                preprocess=Preprocess.from_dict(values["preprocess"]),
                model=_printable(values["model"]),
                raw_input=_flag(values["raw_input"]),
                precision=_one_of(values["precision"], PRECISIONS),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, DataError) as error:
            raise CheckpointError(
                f"{path}: its description is damaged ({_reason(error)}). Export the model again."
            ) from None


def _reason(error: Exception) -> str:
    """What is wrong with a description, for people who do not read Python."""
    match error:
        case KeyError():
            return f"'{error.args[0]}' is missing"
        case json.JSONDecodeError():
            return "it is no JSON"
        case RecursionError():
            return "it is nested too deeply"
        case TypeError() | AttributeError() | OverflowError():
            return "it holds another kind of value than is expected"
        case _:
            return " ".join(str(error).split())[:200]


def _printable(text: Any) -> str:
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError("its model is no name")
    return text


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("raw_input is neither true nor false")
    return value


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"its precision is none of {', '.join(known)}")
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
