"""Formats with int8: weights and activations in 8 bits, whose ranges are taken from training pictures.

Each target is `write(model, card, path, pictures, progress) -> tuple[Path, ...]`, like the writers of
`toolkit.engines.FORMATS`, and calibrates with `pictures`.
"""

from typing import Any

from toolkit.errors import UsageError
from toolkit.registry import Entry, Registry

EXTRA = 'pip install "seg-toolkit[export]"'

INT8 = Registry(
    "format with int8",
    {
        "onnx": Entry("toolkit.exporting.int8.onnx_int8:write", "by ONNX Runtime"),
        "openvino": Entry("toolkit.exporting.int8.openvino_int8:write", "the same numbers, for OpenVINO"),
    },
)


def load_int8(kind: str) -> Any:
    """What writes a format in int8. Raises UsageError for an unknown one or a package that is not installed."""
    try:
        return INT8.load(kind)
    except ImportError as error:
        raise UsageError(f"{kind} in int8: {error}. Install what it needs: {EXTRA}") from None
