"""OpenVINO: a network as .xml, its weights as .bin beside it. The card is an entry of the model's runtime information."""

import warnings
from pathlib import Path

import openvino
import torch

from toolkit.engines.agreement import require_same
from toolkit.engines.base import CARD_KEY, ModelCard
from toolkit.engines.network import INPUT, OUTPUT, Network, example
from toolkit.engines.outcome import short
from toolkit.engines.placing import placing
from toolkit.engines.seal import seal, text_with_room
from toolkit.engines.torch_export import exported
from toolkit.errors import RunError, SegError, UsageError
from toolkit.models.base import SegmentationModel


def write(model: SegmentationModel, card: ModelCard, path: Path) -> tuple[Path, ...]:
    """Write `path` (.xml) and its .bin. With a card of fp16 the weights are stored in 16 bits.

    Raises UsageError for weights of another precision, RunError if the model cannot be expressed.
    """
    if card.precision not in ("fp32", "fp16"):
        raise UsageError(
            f"precision: openvino files are written in fp32 or fp16, not {card.precision}; they can be run in bf16. "
            "int8: seg export --int8."
        )
    save(convert(model, card), card, path)
    return path, path.with_suffix(".bin")


def convert(model: SegmentationModel, card: ModelCard) -> openvino.Model:
    """The network in OpenVINO's form, for any number of pictures and any size, tried at some. Raises RunError."""
    try:  # tracing is quicker; the graph of torch.export has what cannot be traced
        return _converted(Network(model, card).eval(), model, card)
    except RunError:
        return _converted(exported(model, card), model, card)


def _converted(
    source: Network | torch.export.ExportedProgram, model: SegmentationModel, card: ModelCard
) -> openvino.Model:
    traced = isinstance(source, Network)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing, which is deprecated, and takes sizes for constants
        try:
            converted = openvino.convert_model(source, example_input=example(card) if traced else None)
            converted.inputs[0].get_tensor().set_names({INPUT})
            converted.outputs[0].get_tensor().set_names({OUTPUT})
            converted.reshape([-1, -1, -1, 3] if card.raw_input else [-1, 3, -1, -1])
            compiled = openvino.compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except Exception as error:  # of each step another one
            raise RunError(f"openvino: {card.model} cannot be expressed: {short(error)}") from None
    require_same("openvino", model, card, lambda images: torch.from_numpy(compiled(images.numpy())[0]))
    return converted


def save(converted: openvino.Model, card: ModelCard, path: Path) -> None:
    """Write a model with its card. Raises SegError if the disk is full."""
    if converted.has_rt_info(["framework", CARD_KEY]):  # it comes from an .onnx file, with the card of that
        converted.set_rt_info("", ["framework", CARD_KEY])
    converted.set_rt_info(text_with_room(card), [CARD_KEY])
    with placing(path) as folder:
        try:
            openvino.save_model(converted, folder / path.name, compress_to_fp16=card.precision == "fp16")
        except RuntimeError as error:
            raise SegError(f"{path}: cannot be written: {short(error)}. Free space or choose another folder.") from None
        seal(folder / path.name)
