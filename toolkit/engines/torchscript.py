"""TorchScript: the network as PyTorch of many versions, also from C++, runs it, without any of seg's code.

It is no longer developed, and its files can hold code. The card is their extra file `seg`.
"""

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from toolkit.engines.agreement import require_same
from toolkit.engines.base import CARD_KEY, Engine, ModelCard
from toolkit.engines.network import Network, example
from toolkit.engines.outcome import short
from toolkit.engines.torch_export import exported, runnable
from toolkit.engines.torch_file import TorchFileEngine, read_torch_file, require_full_precision
from toolkit.errors import CheckpointError, RunError
from toolkit.files import write_bytes
from toolkit.models.base import SegmentationModel


def write(model: SegmentationModel, card: ModelCard, path: Path) -> tuple[Path, ...]:
    """Write the traced network, and try it at sizes that were not traced.

    Raises UsageError for weights but of fp32, RunError if the model cannot be traced so that it fits every size.
    """
    require_full_precision("torchscript", card)
    buffer = io.BytesIO()
    try:
        traced = _traced(Network(model, card).eval(), model, card)
    except RunError:  # what cannot be traced itself may be traced as a graph
        traced = _traced(runnable(exported(model, card)), model, card)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated
        torch.jit.save(traced, buffer, _extra_files={CARD_KEY: card.as_json()})
    write_bytes(path, _without_sources(buffer))
    return (path,)


def open_model(path: Path, *, precision: str = "auto", device: str = "auto") -> Engine:
    """Open a file that is trusted: TorchScript can hold code.

    Raises CheckpointError if it cannot be used, UsageError for a device or precision that is not there.
    """
    data = read_torch_file(path)
    extra: dict[str, Any] = {CARD_KEY: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            network: Any = torch.jit.load(io.BytesIO(data), map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
        except Exception as error:  # RuntimeError of its reader, and what it meets
            raise CheckpointError(f"{path}: cannot be read as TorchScript ({short(error)}). Export it again.") from None
    return TorchFileEngine("torchscript", network.eval(), extra[CARD_KEY], path, precision, device)


def _without_sources(file: io.BytesIO) -> bytes:
    """The file without its debug information, which names the source files on this machine."""
    kept = io.BytesIO()
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(kept, "w", zipfile.ZIP_STORED) as rest:
        for entry in whole.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                rest.writestr(zipfile.ZipInfo(entry.filename), whole.read(entry))
    return kept.getvalue()


def _traced(network: torch.nn.Module, model: SegmentationModel, card: ModelCard) -> Any:
    with torch.inference_mode(), warnings.catch_warnings():
        # that it is deprecated; and that sizes are taken for constants, which is tried here
        warnings.simplefilter("ignore")
        try:
            traced: Any = torch.jit.trace(network, example(card), check_trace=False)  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever a model's own lines raise when traced
            raise RunError(f"torchscript: {card.model} cannot be traced: {short(error)}") from None
    require_same("torchscript", model, card, traced)
    return traced
