"""int8 as ONNX Runtime's quantiser makes it: QuantizeLinear and DequantizeLinear around each layer.

Weights: symmetric, a scale for each channel; activations: one range for each tensor, the least and the greatest value
of all pictures (Jacob et al. 2017, arXiv:1712.05877). Nearly every runtime reads this form. The layers that make the
logits stay in fp32: with 256 steps, many pixels have two classes of equal logits. They cost next to nothing.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from toolkit.engines import onnx_file
from toolkit.engines.base import CARD_KEY, ModelCard
from toolkit.engines.network import INPUT
from toolkit.engines.outcome import without_log
from toolkit.engines.placing import placing
from toolkit.engines.seal import seal, text_with_room
from toolkit.errors import RunError, SegError
from toolkit.exporting.int8.calibration import inputs
from toolkit.exporting.pictures import Picture
from toolkit.models.base import SegmentationModel
from toolkit.progress import Progress


def write(
    model: SegmentationModel, card: ModelCard, path: Path, pictures: tuple[Picture, ...], progress: Progress
) -> tuple[Path, ...]:
    """Write the network in fp32, calibrate it with the pictures, and write it in int8, in one file.

    Raises RunError if the model cannot be expressed or quantised, DataError if no picture can be read.
    """
    with tempfile.TemporaryDirectory(prefix="seg-int8-", ignore_cleanup_errors=True) as folder, without_log():
        plain, prepared, done = (Path(folder, f"{name}.onnx") for name in ("plain", "prepared", "done"))
        onnx_file.write(model, replace(card, precision="fp32"), plain)
        try:
            quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(done),
                _Reader(inputs(card, pictures, progress)),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                nodes_to_exclude=_last_layers(onnx.load(str(prepared), load_external_data=False).graph),
            )
        except SegError:
            raise
        except Exception as error:  # the quantiser's, onnx's and the runtime's own
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise RunError(f"int8: {card.model} cannot be quantised: {reason}") from None
        network = onnx.load(str(done))
    onnx.helper.set_model_props(network, {CARD_KEY: text_with_room(card)})
    with placing(path) as place:
        onnx.save(network, str(place / path.name))
        seal(place / path.name)
    return (path,)


def _last_layers(graph: onnx.GraphProto) -> list[str]:
    """The nodes between the logits and the convolutions that they come from, these included."""
    makers = {output: node for node in graph.node for output in node.output}
    found: dict[str, None] = {}
    ahead = [output.name for output in graph.output]
    while ahead:
        node = makers.get(ahead.pop())
        if node is not None and node.name not in found:
            found[node.name] = None
            if node.op_type not in ("Conv", "ConvTranspose"):
                ahead += node.input
    return list(found)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, given: Iterator[Any]) -> None:
        self._given = given

    def get_next(self) -> dict[str, Any] | None:
        pixels = next(self._given, None)
        return None if pixels is None else {INPUT: pixels}
