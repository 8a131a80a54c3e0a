"""ONNX Runtime: .onnx files on a CPU, or on an NVIDIA GPU where its GPU version is installed."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch

from toolkit.engines.base import CARD_KEY, Engine, ModelCard
from toolkit.engines.network import network_input
from toolkit.engines.outcome import require_logits, short
from toolkit.engines.precision import settle_precision
from toolkit.engines.seal import require_sound
from toolkit.errors import CheckpointError, RunError, UsageError

onnxruntime.disable_telemetry_events()  # which its makers' builds for Windows send

_ONLY_FATAL = 4  # its log goes to the standard error output; what matters comes as an exception too
_TYPES = {"tensor(float)": False, "tensor(uint8)": True}


class OnnxRuntimeEngine(Engine):
    """A file in ONNX Runtime, with as many threads as PyTorch uses."""

    name = "onnxruntime"

    def __init__(self, path: Path, precision: str, device: str) -> None:
        provider = _provider(device)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _ONLY_FATAL
        # it keeps a plan of the memory for each size, and memory for each plan; without, what the largest picture
        # needed serves all, and is kept, as getting it anew takes a fifth of the time
        options.enable_mem_pattern = False
        # between pictures, its threads would wait busily for the next one, on cores that reading and writing need
        options.add_session_config_entry("session.force_spinning_stop", "1")
        require_sound(path)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path),
                options,
                providers=[provider],
                enable_fallback=False,  # to the CPU, of which it would print that
            )
            metadata = self._session.get_modelmeta().custom_metadata_map
        except Exception as error:  # each kind of failure is a class of its own
            raise CheckpointError(f"{path}: ONNX Runtime cannot open it ({short(error)}). Export it again.") from None
        if CARD_KEY not in metadata:
            raise CheckpointError(f"{path}: was not written by seg: it names no classes (no metadata '{CARD_KEY}').")
        self.card = ModelCard.from_json(metadata[CARD_KEY], path)
        self._require_fit(path)
        self.precision = settle_precision(
            "onnxruntime",
            precision,
            (self.card.precision,),
            "It computes in what the file holds. int8: seg export --int8; bf16: --engine openvino.",
        )
        self._path = path

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        batch = network_input(self.card, images).numpy()
        try:
            (found,) = self._session.run([self._output], {self._input: batch})
        except Exception as error:  # as above
            N, h, w = images.shape[:3]
            raise RunError(f"{self._path}: ONNX Runtime failed at {N} x {h} x {w} pixels: {short(error)}") from None
        return require_logits(torch.from_numpy(np.asarray(found)), images, self.card, self._path)

    def _require_fit(self, path: Path) -> None:
        """Raise CheckpointError if the card is not of this network."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._input, self._output = inputs[0].name if inputs else "", outputs[0].name if outputs else ""
        fits = len(inputs) == len(outputs) == 1 and _TYPES.get(inputs[0].type) is self.card.raw_input
        classes = outputs[0].shape[1] if fits and len(outputs[0].shape) == 4 else None
        if not fits or (isinstance(classes, int) and classes != len(self.card.classes)) or classes is None:
            raise CheckpointError(
                f"{path}: its description is not of this network ({len(self.card.classes)} classes, "
                f"{'uint8' if self.card.raw_input else 'float'} input). Export the model again."
            )


def open_model(path: Path, *, precision: str = "auto", device: str = "auto") -> Engine:
    """Open an .onnx file that seg wrote.

    Raises CheckpointError if it cannot be used, UsageError for a device or precision that is not there.
    """
    return OnnxRuntimeEngine(path, precision, device)


def _provider(device: str) -> str | tuple[str, dict[str, int]]:
    if device in ("auto", "cpu"):
        return "CPUExecutionProvider"
    kind, _, index = device.partition(":")
    if kind != "cuda" or not (index.isdecimal() or not index):
        raise UsageError(f"device: onnxruntime computes on cpu or cuda here, not on '{device}'.")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise UsageError("device: this onnxruntime knows no GPU. pip install onnxruntime-gpu, or --device cpu.")
    return "CUDAExecutionProvider", {"device_id": int(index or 0)}
