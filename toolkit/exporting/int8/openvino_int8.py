"""int8 for OpenVINO: the network that ONNX Runtime's quantiser made, in OpenVINO's form, which computes it as it is.

Its own quantiser, NNCF, was measured: no quicker, a little closer, at the price of a dozen packages and of sending
usage data unless told not to.
"""

import tempfile
from pathlib import Path

import openvino

from toolkit.engines.base import ModelCard
from toolkit.engines.openvino_file import save
from toolkit.errors import RunError
from toolkit.exporting.int8 import onnx_int8
from toolkit.exporting.pictures import Picture
from toolkit.models.base import SegmentationModel
from toolkit.progress import Progress


def write(
    model: SegmentationModel, card: ModelCard, path: Path, pictures: tuple[Picture, ...], progress: Progress
) -> tuple[Path, ...]:
    """Write `path` (.xml) and its .bin. Raises what `onnx_int8.write` does, RunError if OpenVINO cannot read it."""
    with tempfile.TemporaryDirectory(prefix="seg-int8-", ignore_cleanup_errors=True) as folder:
        middle = Path(folder, "model.onnx")
        onnx_int8.write(model, card, middle, pictures, progress)
        try:
            network = openvino.Core().read_model(middle)
        except Exception as error:  # RuntimeError and its kin
            reason = " ".join(str(error).split())[:200]
            raise RunError(f"openvino: {card.model} in int8 cannot be expressed: {reason}") from None
        save(network, card, path)
    return path, path.with_suffix(".bin")
