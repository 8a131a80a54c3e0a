"""Whether a model is still the same."""

import zlib
from pathlib import Path

from toolkit.engines.naming import companions_of
from toolkit.engines.opening import find_model
from toolkit.errors import CheckpointError

_PIECE = 1 << 22


def checksum_of(checkpoint: Path) -> str:
    """CRC-32 of a model's files, to tell whether they are still the same."""
    file = find_model(checkpoint)
    crc = 0
    try:
        for path in (file, *companions_of(file)):
            if path.is_file():
                with path.open("rb") as opened:
                    while data := opened.read(_PIECE):
                        crc = zlib.crc32(data, crc)
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror or error}.") from None
    return f"{crc:08x}"
