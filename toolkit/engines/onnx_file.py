"""ONNX: the graph that nearly every runtime reads. The card is an entry of the file's own metadata.

Written by PyTorch's exporter, by way of torch.export, and tried with ONNX Runtime at sizes that it has not seen.
"""

import re
import warnings
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import onnxscript
import torch

from toolkit.engines.agreement import require_same
from toolkit.engines.base import CARD_KEY, ModelCard
from toolkit.engines.naming import weights_of
from toolkit.engines.network import INPUT, OUTPUT
from toolkit.engines.outcome import short, without_log
from toolkit.engines.placing import placing
from toolkit.engines.seal import seal, text_with_room
from toolkit.engines.torch_export import exported
from toolkit.errors import RunError, UsageError
from toolkit.models.base import SegmentationModel

WITH = f"onnx {onnx.__version__}, onnxscript {onnxscript.__version__}"
"""What writes, beside PyTorch, which imports both of them itself."""

_LENGTHS = ("batch", "rows", "columns")

_OLDEST = (2, 8)
"""Of PyTorch: the exporters of 2.6 and 2.7 fail inside, for reasons that say nothing."""


def write(model: SegmentationModel, card: ModelCard, path: Path) -> tuple[Path, ...]:
    """Write one file; of a network of 2 GB and more, the weights into a second one, `path` with `.data` appended.

    Raises UsageError for weights but of fp32, RunError if the model cannot be expressed or PyTorch is too old.
    """
    if card.precision != "fp32":
        raise UsageError(f"precision: onnx files are written in fp32, not {card.precision}. int8: seg export --int8.")
    _require_new_enough()
    program = exported(model, card, plain_pooling=True)
    with warnings.catch_warnings(), without_log():
        warnings.simplefilter("ignore")  # of PyTorch's own parts, about each other
        try:
            converted = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT]
            )
        except Exception as error:  # its own, and whatever the translation of an operator raises
            reason = short(error.__cause__ or error)  # the outer one tells its makers' programmers what to do
            raise RunError(f"onnx: {card.model} cannot be expressed: {reason} Choose another format.") from None
    if converted is None:
        raise RunError(f"onnx: {card.model} cannot be expressed. Choose another format.")
    converted.model.metadata_props[CARD_KEY] = text_with_room(card)
    _tidy(converted.model.graph)
    with placing(path) as folder:
        converted.save(folder / path.name, external_data=False)
        _require_same(model, card, folder / path.name)
        seal(folder / path.name)
        large = (folder / weights_of(path).name).exists()
    return (path, weights_of(path)) if large else (path,)


def _require_new_enough() -> None:
    if tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2]) < _OLDEST:
        raise RunError(
            f"onnx: needs PyTorch {'.'.join(map(str, _OLDEST))} or newer, this is {torch.__version__}. "
            "Update it, or choose another format."
        )


def _require_same(model: SegmentationModel, card: ModelCard, path: Path) -> None:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def network(images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {INPUT: images.numpy()})[0])

    require_same("onnx", model, card, network)


def _tidy(graph: Any) -> None:
    """Give the lengths that vary names that people understand, and leave out what only the exporter's makers need.

    Among that is where the lines of code lie on this machine.
    """
    symbols = [re.search(r"s\d+", str(length)) for length in graph.inputs[0].shape]
    names = dict(zip((symbol.group() for symbol in symbols if symbol), _LENGTHS, strict=False))

    def renamed(value: Any) -> None:
        value.metadata_props.clear()
        if value.shape is None:
            return
        for axis, length in enumerate(value.shape):
            if not isinstance(length, int):
                text = re.sub(r"s\d+", lambda found: names.get(found.group(), found.group()), str(length.value))
                value.shape[axis] = text

    for node in graph:
        node.metadata_props.clear()
        for value in node.outputs:
            renamed(value)
    for value in (*graph.inputs, *graph.initializers.values()):
        renamed(value)
