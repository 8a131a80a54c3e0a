"""Reads files of weights: torch's, safetensors, NumPy's .npz, and Keras' HDF5 where h5py is installed.

Nothing is unpickled that could run code.
"""

import importlib
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from toolkit.errors import CheckpointError
from toolkit.torchzip import zip_fault

SUFFIXES = (".pt", ".pth", ".safetensors", ".npz", ".h5", ".hdf5", ".keras")

_WRAPPERS = ("state_dict", "model", "model_state_dict")
_KERAS_WEIGHTS = "model.weights.h5"
_LISTED = 8
_MOST_UNPACKED = 50  # times the size of the file


def find_file(path: Path, preferred: Callable[[], str] = str) -> Path:
    """`path` itself, or in a folder the file of the preferred name, or else the only file of weights.

    Raises CheckpointError, with what the folder holds, if that does not name one file.
    """
    try:
        if path.is_file():
            return path
        if not path.is_dir():
            kind = "is no ordinary file" if path.exists() else "there is no such file of weights"
            raise CheckpointError(f"{path}: {kind}.")
        wanted = preferred()
        if wanted and (path / wanted).is_file():
            return path / wanted
        names = sorted(entry.name for entry in path.iterdir())
        weights = [name for name in names if Path(name).suffix in SUFFIXES and (path / name).is_file()]
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}.") from None
    if len(weights) == 1:
        return path / weights[0]
    sought = f"{wanted} or a single file of weights" if wanted else "a single file of weights"
    there = weights or names
    listed = ", ".join(there[:_LISTED]) + (", ..." if len(there) > _LISTED else "")
    raise CheckpointError(f"{path}: {sought} is needed in this folder, it holds {listed or 'nothing'}. Name a file.")


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a file by name. Raises CheckpointError naming the file."""
    path = find_file(path)
    reader, kind = _READERS.get(path.suffix, (_read_torch, "not a torch file of plain weights"))
    try:
        content = reader(path)
    except CheckpointError:
        raise
    except Exception as error:  # torch raises whatever its parser meets: pickle, zip, struct and runtime errors
        kind = "a damaged file" if isinstance(error, SafetensorError) else kind
        raise CheckpointError(f"{path}: {kind} ({short(error)}).") from None
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds no weights by name.")
    return {
        str(key): value
        for key, value in content.items()
        if isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized
    }


def short(error: BaseException) -> str:
    """The first line of what went wrong, cut to what a message bears."""
    reason = getattr(error, "reason", None) or error
    text = str(reason).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:160]


def _read_torch(path: Path) -> Any:
    if not path.stat().st_size:
        raise CheckpointError(f"{path}: is empty.")
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"  # as torch tells it from its older format
        fault = zip_fault(file) if is_zip else None
    if fault is not None:
        raise CheckpointError(f"{path}: a damaged file ({fault}).")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" not in str(error):
            raise
        raise CheckpointError(
            f"{path}: holds more than tensors, such as a whole model, which is not read because it could run code. "
            "Save its model.state_dict()."
        ) from None
    except KeyError:  # what its parser says of the first letter of a text
        raise CheckpointError(f"{path}: not a torch file of plain weights.") from None


def _read_npz(path: Path) -> dict[str, torch.Tensor]:
    _refuse_bomb(path)
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return {name: _tensor(array) for name, array in arrays.items() if array.dtype.kind in "fiu"}


def _refuse_bomb(path: Path) -> None:
    """Weights hardly compress; what unpacks to many times its size was made to fill the memory."""
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MOST_UNPACKED * path.stat().st_size:
            raise CheckpointError(f"{path}: unpacks to far more than it holds.")


def _read_hdf5(path: Path) -> dict[str, torch.Tensor]:
    return _datasets(path, path)


def _read_keras(path: Path) -> dict[str, torch.Tensor]:
    """The weights in an archive that Keras 3 wrote."""
    _refuse_bomb(path)
    with zipfile.ZipFile(path) as archive:
        return _datasets(io.BytesIO(archive.read(_KERAS_WEIGHTS)), path)


def _datasets(file: Path | io.BytesIO, path: Path) -> dict[str, torch.Tensor]:
    try:
        h5py = importlib.import_module("h5py")
    except ImportError:
        raise CheckpointError(
            f"{path}: h5py is needed to read Keras files: pip install 'seg-toolkit[keras]'. Or save its arrays as .npz."
        ) from None
    found: dict[str, torch.Tensor] = {}

    def keep(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "fiu":
            return
        if node.external or node.is_virtual:
            raise CheckpointError(f"{path}: {name} lies in another file. Save the weights in one.")
        if node.nbytes > _MOST_UNPACKED * path.stat().st_size:
            raise CheckpointError(f"{path}: unpacks to far more than it holds.")
        found[name] = _tensor(node[()])

    with h5py.File(file, "r") as content:
        content.visititems(keep)  # follows no links
    return found


def _tensor(array: Any) -> torch.Tensor:
    """Contiguous and in this machine's byte order, as torch needs it."""
    array = np.asarray(array)
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


_READERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    ".safetensors": (load_file, "not a safetensors file"),
    ".npz": (_read_npz, "not an .npz file of plain arrays"),
    ".h5": (_read_hdf5, "not a Keras file of weights"),
    ".hdf5": (_read_hdf5, "not a Keras file of weights"),
    ".keras": (_read_keras, "not a Keras file of weights"),
}
