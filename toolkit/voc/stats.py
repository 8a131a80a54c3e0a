"""Counting the pixels of each class in a list of masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.errors import DatasetError
from toolkit.labels.classmap import IGNORE, ClassMap
from toolkit.progress import SILENT, Progress
from toolkit.voc.folder import VocFolder
from toolkit.voc.pixels import read_header, read_mask


@dataclass(frozen=True)
class PixelCounts:
    """How much there is of each class.

    pixels     int64 (K,) pixels by class id, ignore not counted
    images     int64 (K,) in how many images a class occurs
    ignored    pixels with the value 255
    """

    pixels: npt.NDArray[np.int64]
    images: npt.NDArray[np.int64]
    ignored: int

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """float64 (K,) that sum to 1, or all 0 if nothing was counted."""
        total = self.pixels.sum()
        return self.pixels / total if total else np.zeros(len(self.pixels))


def histogram(folder: VocFolder, stem: str) -> npt.NDArray[np.int64]:
    """int64 (256,) pixels of one mask by value."""
    mask = read_mask(folder.mask(stem))
    return np.array(Image.fromarray(mask).histogram(), np.int64)  # twice as fast as numpy's bincount


def count_pixels(
    folder: VocFolder, stems: Sequence[str], classes: ClassMap, progress: Progress = SILENT
) -> PixelCounts:
    """Count the classes over the masks of `stems`, reading one mask at a time.

    Raises DatasetError for a pixel value that is no class id, naming the mask, the value and the way out.
    """
    K = len(classes)
    pixels, images = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for stem in progress.track(stems, "Counting pixels", len(stems)):
        found = histogram(folder, stem)
        foreign = np.flatnonzero(found[K:IGNORE]) + K
        if foreign.size:
            raise DatasetError(_foreign_value(folder, stem, found, int(foreign[0]), K))
        pixels += found
        images += found > 0
    return PixelCounts(pixels[:K], images[:K], int(pixels[IGNORE]))


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


def classes_of(folder: VocFolder, stems: Sequence[str], progress: Progress = SILENT) -> ClassMap:
    """The dataset's classes; without `class_names.txt` they are named by their ids, up to the largest one used."""
    listed = folder.class_map()
    if listed is not None:
        return listed
    largest = 0
    for stem in progress.track(stems, "Looking for classes", len(stems)):
        used = np.flatnonzero(histogram(folder, stem)[:IGNORE])
        largest = max(largest, int(used.max(initial=0)))
    progress.warn(f"{folder.names_file} is missing: the classes are called by their ids, 0 to {largest}.")
    return ClassMap(tuple(f"class {index}" for index in range(largest + 1)))


def _foreign_value(folder: VocFolder, stem: str, found: npt.NDArray[np.int64], value: int, K: int) -> str:
    place = f"{folder.mask(stem)}: holds the value {value} ({found[value]} pixels)"
    rule = f"but {folder.names_file.name} lists {K} classes (ids 0 to {K - 1}; 255 is ignore)"
    if np.count_nonzero(found) > 2 * K + 8:
        return f"{place}, {rule}. It looks like a picture of colours or a JPEG, not like ids. Make the masks again with seg convert."
    return f"{place}, {rule}. Add the missing class to the list or correct the mask."
