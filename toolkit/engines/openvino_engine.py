"""OpenVINO: .xml and .onnx files on CPUs of Intel and AMD, in bf16 where they have it, and on Intel's GPUs."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch

from toolkit.engines.base import CARD_KEY, Engine, ModelCard
from toolkit.engines.network import network_input
from toolkit.engines.outcome import require_logits, short
from toolkit.engines.precision import settle_precision
from toolkit.engines.seal import require_sound
from toolkit.errors import CheckpointError, RunError, UsageError

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
"""What is not int8 in such a file is computed in fp32."""


class OpenVinoEngine(Engine):
    """A file in OpenVINO, with as many threads as PyTorch uses."""

    name = "openvino"

    def __init__(self, path: Path, precision: str, device: str) -> None:
        core = openvino.Core()
        place = _place(core, device)
        require_sound(path)
        try:
            model = core.read_model(path)
        except Exception as error:  # RuntimeError, and those of text that is none
            raise CheckpointError(f"{path}: OpenVINO cannot open it ({short(error)}). Export it again.") from None
        self.card = _card(model, path)
        _require_fit(model, self.card, path)
        self.precision = settle_precision(
            f"openvino on {place}",
            precision,
            _possible(core, place, self.card),
            "int8 needs a file made for it: seg export --int8." if precision == "int8" else "Choose one of them.",
        )
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": _HINTS[self.precision]}
        if place == "CPU":
            # not pinned: of two processes on one machine, both would be pinned to the same cores
            config |= {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "ENABLE_CPU_PINNING": False}
        try:
            self._compiled = core.compile_model(model, place, config)
        except Exception as error:
            raise CheckpointError(f"{path}: OpenVINO cannot prepare it for {place} ({short(error)}).") from None
        self._own = threading.local()
        self._path = path

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        batch = network_input(self.card, images).numpy()
        try:
            if not hasattr(self._own, "request"):
                self._own.request = self._compiled.create_infer_request()
            results = self._own.request.infer({0: batch}, share_inputs=True, share_outputs=True)
            found = np.array(results[0])  # a copy: the memory is the request's, which writes there again
        except Exception as error:
            N, h, w = images.shape[:3]
            raise RunError(f"{self._path}: OpenVINO failed at {N} x {h} x {w} pixels: {short(error)}") from None
        return require_logits(torch.from_numpy(found), images, self.card, self._path)


def open_model(path: Path, *, precision: str = "auto", device: str = "auto") -> Engine:
    """Open an .xml file with its .bin beside it, or an .onnx file, that seg wrote.

    Raises CheckpointError if it cannot be used, UsageError for a device or precision that is not there.
    """
    return OpenVinoEngine(path, precision, device)


def _place(core: openvino.Core, device: str) -> str:
    wanted = "CPU" if device == "auto" else device.upper().replace(":", ".")
    if wanted not in core.available_devices:
        present = ", ".join(name.lower() for name in core.available_devices)
        raise UsageError(f"device: '{device}' is not what OpenVINO finds on this machine. There is: {present}.")
    return wanted


def _card(model: openvino.Model, path: Path) -> ModelCard:
    # the metadata of an .onnx file comes as what the "framework" said
    place = next((keys for keys in ([CARD_KEY], ["framework", CARD_KEY]) if model.has_rt_info(keys)), None)
    if place is None:
        raise CheckpointError(f"{path}: was not written by seg: it names no classes (nothing under '{CARD_KEY}').")
    try:
        text = str(model.get_rt_info(place).astype(str))
    except (RuntimeError, UnicodeError) as error:
        raise CheckpointError(f"{path}: its description is damaged ({short(error)}). Export the model again.") from None
    return ModelCard.from_json(text, path)


def _require_fit(model: openvino.Model, card: ModelCard, path: Path) -> None:
    """Raise CheckpointError if the card is not of this network."""
    kind = openvino.Type.u8 if card.raw_input else openvino.Type.f32
    fits = len(model.inputs) == len(model.outputs) == 1 and model.inputs[0].get_element_type() == kind
    shape = model.outputs[0].get_partial_shape() if fits else None
    ranked = shape is not None and shape.rank.is_static and len(shape) == 4
    if shape is None or not ranked or (shape[1].is_static and shape[1].get_length() != len(card.classes)):
        raise CheckpointError(
            f"{path}: its description is not of this network ({len(card.classes)} classes, "
            f"{'uint8' if card.raw_input else 'float'} input). Export the model again."
        )


def _possible(core: openvino.Core, place: str, card: ModelCard) -> tuple[str, ...]:
    if card.precision == "int8":
        return ("int8",)
    has = core.get_property(place, "OPTIMIZATION_CAPABILITIES")
    return tuple(name for name in ("bf16", "fp16", "fp32") if name.upper() in has)
