"""Whether a model is still the same."""

import zlib
from pathlib import Path

from toolkit.engines import FORMATS
from toolkit.engines.naming import format_of
from toolkit.engines.opening import find_model
from toolkit.errors import CheckpointError

_PIECE = 1 << 22


def checksum_of(checkpoint: Path) -> str:
    """CRC-32 of a model's files, to tell whether they are still the same."""
    file = find_model(checkpoint)
    kind = format_of(file)
    files = [file]
    if kind is not None:
        entry = FORMATS.entry(kind)
        stem = file.name.removesuffix(entry.suffix)
        files += [file.with_name(f"{stem}{end}") for end in entry.companions]
    crc = 0
    try:
        for path in files:
            if path.is_file():
                with path.open("rb") as opened:
                    while data := opened.read(_PIECE):
                        crc = zlib.crc32(data, crc)
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror or error}.") from None
    return f"{crc:08x}"
