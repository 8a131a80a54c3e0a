"""The instances of one image, by its class mask and its instance mask."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.errors import ImageError
from toolkit.labels.annotation import Mask
from toolkit.labels.classmap import IGNORE
from toolkit.voc.pixels import read_header, read_mask


def count_instances(mask: Mask, path: Path) -> tuple[tuple[int, int], ...]:
    """(class id, pixels) of each instance. Raises ImageError.

    A number is one instance in each class in which it occurs; 0 is none, and so is 255 where numbers are bytes.
    """
    deep = read_header(path, str(path)).mode.startswith("I")
    numbers = _deep_numbers(path) if deep else read_mask(path)
    if numbers.shape != mask.shape:
        raise ImageError(f"{path}: has another size than its class mask. Make it again with seg convert.")
    there = (numbers > 0) & (mask != IGNORE)
    if not deep:
        there &= numbers != IGNORE
    pairs = mask[there].astype(np.int64) << 16 | numbers[there]
    if deep:
        values, counts = np.unique(pairs, return_counts=True)
    else:  # counting is many times as fast as sorting
        found = np.bincount(pairs >> 8 | pairs & 255, minlength=1)
        values = np.flatnonzero(found)
        counts, values = found[values], values << 8
    return tuple((int(pair) >> 16, int(count)) for pair, count in zip(values, counts, strict=True))


def _deep_numbers(path: Path) -> npt.NDArray[np.integer[Any]]:
    """Instance numbers of 16 bits, which `read_mask` refuses. Raises ImageError."""
    try:
        with Image.open(path) as image:
            numbers = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: cannot be decoded ({error}). Replace the file.") from None
    if numbers.min(initial=0) < 0 or numbers.max(initial=0) > 65_535:
        raise ImageError(f"{path}: instance numbers of 16 bits are needed, got {numbers.min()} to {numbers.max()}.")
    return numbers
