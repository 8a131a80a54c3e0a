"""A picture and its mask: whether they have one size."""

from pathlib import Path

from toolkit.errors import DatasetError
from toolkit.voc.folder import VocFolder
from toolkit.voc.pixels import read_header


def check_pair(folder: VocFolder, stem: str) -> None:
    """Compare the sizes of a picture and its mask by their headers. Raises DatasetError or ImageError naming the file."""
    path = folder.image(stem)
    picture, mask = (read_header(file, str(file)).upright_size for file in (path, folder.mask(stem)))
    if picture != mask:
        raise size_mismatch(path, picture, mask)


def size_mismatch(path: Path, picture: tuple[int, int], mask: tuple[int, int]) -> DatasetError:
    """The error for a picture and a mask of different (H, W)."""
    sizes = [f"{width} x {height}" for height, width in (picture, mask)]
    return DatasetError(
        f"{path}: the picture has {sizes[0]} pixels, its mask {sizes[1]}. Make the mask again with seg convert."
    )
