"""torch.export: the network as a graph of PyTorch's operators, which runs without any of seg's code.

Opening one unpickles; the card is its extra file `seg`.
"""

import inspect
import io
import warnings
from pathlib import Path
from typing import Any

import torch

from toolkit.engines.agreement import require_same
from toolkit.engines.base import CARD_KEY, Engine, ModelCard
from toolkit.engines.network import Network, dynamic_shapes, example
from toolkit.engines.outcome import short
from toolkit.engines.torch_file import TorchFileEngine, read_torch_file, require_full_precision
from toolkit.errors import CheckpointError, RunError
from toolkit.files import write_bytes
from toolkit.models.base import SegmentationModel


def exported(model: SegmentationModel, card: ModelCard, *, plain_pooling: bool = False) -> torch.export.ExportedProgram:
    """The network as a graph in which pictures, rows and columns may be of any number; see Network.

    Raises RunError if the model does something that depends on them.
    """
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(
                Network(model, card, plain_pooling=plain_pooling).eval(),
                (example(card),),
                dynamic_shapes=(dynamic_shapes(card),),
            )
        except Exception as error:  # whatever a model's own lines raise when traced
            raise RunError(f"{card.model}: torch.export cannot express it for every size: {short(error)}") from None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # where the lines of code lie on this machine
    # without PyTorch's own checks, see `runnable`, a graph could be of the sizes alone that it was made from
    require_same("torch-export", model, card, runnable(program))
    return program


def runnable(program: torch.export.ExportedProgram) -> torch.nn.Module:
    """The graph as a module, without the checks that PyTorch adds.

    They refuse sides of one stride, for which the graph is as right as for all others.
    """
    checked = "check_guards" in inspect.signature(program.module).parameters  # since PyTorch 2.9
    return program.module(check_guards=False) if checked else program.module()


def write(model: SegmentationModel, card: ModelCard, path: Path) -> tuple[Path, ...]:
    """Write the graph. Raises UsageError for weights but of fp32, RunError if the model cannot be expressed as one."""
    require_full_precision("torch-export", card)
    buffer = io.BytesIO()
    program = exported(model, card)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, buffer, extra_files={CARD_KEY: card.as_json()})
    write_bytes(path, buffer.getvalue())
    return (path,)


def open_model(path: Path, *, precision: str = "auto", device: str = "auto") -> Engine:
    """Open a file that is trusted: it is unpickled.

    Raises CheckpointError if it cannot be used, UsageError for a device or precision that is not there.
    """
    data = read_torch_file(path)
    extra: dict[str, Any] = {CARD_KEY: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            network = runnable(torch.export.load(io.BytesIO(data), extra_files=extra))
        except Exception as error:  # whatever its reader meets
            raise CheckpointError(
                f"{path}: cannot be read by torch.export ({short(error)}). Export it again."
            ) from None
    return TorchFileEngine("torch-export", network, extra[CARD_KEY], path, precision, device)
