"""A checksum in the file that it is of: runtimes do not look whether a weight is still the one that was written.

ONNX and OpenVINO files hold a text of ours and no checksum. In it room of a fixed length is left, a row of digits that
is filled in place when the file is complete. The sum is of all bytes as if those digits were zeros. It is looked at
before a runtime sees the file; 100 MB take 0.1 s.

A file of another length was not damaged by a disk but written anew by another program, which may simplify a graph:
whether it can be used is then left to the runtime.
"""

import json
import re
import zlib
from pathlib import Path

from toolkit.engines.base import ModelCard
from toolkit.engines.naming import require_beside, weights_of
from toolkit.errors import CheckpointError
from toolkit.files import read_file
from toolkit.runs.integrity import require_file

_KEY = "checksum"
_NONE = "-" * 8
_ROOM = f"crc32:{0:08x}:{0:08x}:{0:012x}"
_SEAL = re.compile(rb"crc32:([0-9a-f]{8}):([0-9a-f]{8}|-{8}):([0-9a-f]{12})")
"""Of the file, of the one with its weights, and the file's length. The first in a file counts; class names come after it."""

_BEGINS = {".onnx": b"\x08", ".xml": b"<"}
"""How such files begin, whoever writes them. OpenVINO tries others as what they are not, and complains aloud."""

_LARGEST = 16 << 30
_PIECE = 1 << 22


def text_with_room(card: ModelCard) -> str:
    """The card's text for a file that `seal` is called for."""
    return json.dumps({_KEY: _ROOM, **json.loads(card.as_json())}, ensure_ascii=False)


def seal(path: Path) -> None:
    """Fill the room in a complete file that holds `text_with_room`, and that nobody else knows yet."""
    data = memoryview(path.read_bytes())
    found = _SEAL.search(data)
    if found is None:
        raise ValueError(f"{path}: has no room for a checksum")
    weights = weights_of(path)
    other = f"{_checksum(weights):08x}" if weights.exists() else _NONE
    digits = f"{0:08x}:{other}:{len(data):012x}".encode()
    crc = zlib.crc32(data[found.end() :], zlib.crc32(digits, zlib.crc32(data[: found.start(1)])))
    with path.open("r+b") as file:
        file.seek(found.start(1))
        file.write(f"{crc:08x}".encode() + digits[8:])


def require_sound(path: Path) -> None:
    """Raise CheckpointError if an .onnx or .xml file is damaged, or the one with its weights, or if that is missing.

    Files without a checksum, as older versions wrote them, pass.
    """
    require_file(path, "there is no such file.")
    weights = weights_of(path)
    if path.suffix.lower() == ".xml":
        require_beside(path, weights)
    data = memoryview(read_file(path, _LARGEST, CheckpointError))
    if data[:1] != _BEGINS[path.suffix.lower()]:
        raise CheckpointError(f"{path}: damaged, or no model at all. Copy or export it again.")
    found = _SEAL.search(data)
    if found is None or int(found[3], 16) != len(data):
        return
    crc = zlib.crc32(data[found.end(1) :], zlib.crc32(b"0" * 8, zlib.crc32(data[: found.start(1)])))
    if crc != int(found[1], 16):
        raise CheckpointError(f"{path}: damaged, its checksum does not fit. Copy or export it again.")
    if found[2] != _NONE.encode():
        require_beside(path, weights)
        if _checksum(weights) != int(found[2], 16):
            raise CheckpointError(
                f"{weights}: damaged, or not the file that belongs to {path.name}. "
                "Copy both again, or export the model again."
            )


def _checksum(path: Path) -> int:
    crc = 0
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                crc = zlib.crc32(piece, crc)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}.") from None
    return crc
