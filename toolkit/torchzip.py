"""Whether the archive that `torch.save` wrote is sound: torch's reader does not look."""

import zipfile
from typing import BinaryIO


def zip_fault(file: BinaryIO) -> str | None:
    """What is wrong with the zip archive, None if every byte in it is sound.

    Only stored members are accepted, which together are no longer than the file: a small file that unpacks to more than
    the memory holds was not written by torch. And no folders: torch takes what the memory happens to hold for the values
    of a tensor marked as one.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED or member.external_attr for member in members):
                return "holds compressed parts or folders"
            if sum(member.file_size for member in members) > file.seek(0, 2):
                return "holds more than fits"
            damaged = archive.testzip()
            return f"{damaged} is damaged" if damaged is not None else None
    except Exception as error:  # zipfile raises whatever its parser meets, also struct and Unicode errors
        return " ".join(str(error).split()) or type(error).__name__
