"""What one mask file holds, whoever wrote it. Nothing is judged here."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.errors import ImageError
from toolkit.labels.annotation import Mask
from toolkit.voc.pixels import decode_rgb, read_header, read_mask

_COLOR_MODES = ("RGB", "RGBA", "RGBX", "LA", "PA", "CMYK", "YCbCr", "LAB", "HSV", "La", "RGBa")
MOST_COLORS = 256
"""A mask of more colours than this is a photograph or has smoothed edges."""
_THIN = 0.2


@dataclass(frozen=True)
class MaskFacts:
    """One mask file.

    values    pixels by value, of masks that hold ids, also as grey RGB; empty for colours and for files that failed
    colors    pixels by colour 0xRRGGBB, of masks that hold colours; empty for grey ones, or if there are too many
    palette   colour of each value that occurs, of palette masks
    distinct  how many values or colours occur
    thin      values or colours of which hardly a pixel lies in a 2 x 2 square of its own: what smoothing leaves
    problem   why the file cannot be read
    """

    path: Path
    format: str = ""
    mode: str = ""
    size: tuple[int, int] = (0, 0)
    values: dict[int, int] = field(default_factory=dict)
    colors: dict[int, int] = field(default_factory=dict)
    palette: dict[int, int] = field(default_factory=dict)
    distinct: int = 0
    thin: frozenset[int] = frozenset()
    problem: str = ""

    @property
    def is_jpeg(self) -> bool:
        """Whether values were changed by compression, whatever the file is called."""
        return self.format in ("JPEG", "MPO", "JPEG2000")


def mask_facts(path: Path) -> MaskFacts:
    """Read a mask file. Never raises ImageError: it becomes `problem`."""
    try:
        header = read_header(path, str(path))
        about = MaskFacts(path, format=header.format, mode=header.mode, size=header.size)
        if header.mode in _COLOR_MODES:
            packed = packed_colors(path)
            if not np.any((packed >> 16) != (packed & 255)) and not np.any((packed >> 8 & 255) != (packed & 255)):
                return _of_values(about, (packed & 255).astype(np.uint8), {})
            return _of_colors(about, packed)
        mask = read_mask(path)
        return _of_values(about, mask, _palette(path) if header.mode == "P" else {})
    except ImageError as error:
        return MaskFacts(path, problem=str(error).removeprefix(f"{path}: "))


def packed_colors(path: Path) -> npt.NDArray[np.uint32]:
    """uint32 (H, W) of 0xRRGGBB, as stored, transparency dropped. Raises ImageError."""
    rgb = decode_rgb(path, str(path), upright=False).astype(np.uint32)
    return np.asarray(rgb[:, :, 0] << 16 | rgb[:, :, 1] << 8 | rgb[:, :, 2], np.uint32)


def read_values(facts: MaskFacts) -> Mask:
    """uint8 (H, W): the values that were counted in `facts.values`. Raises ImageError."""
    if facts.mode in _COLOR_MODES:
        return (packed_colors(facts.path) & 255).astype(np.uint8)
    return read_mask(facts.path)


def _of_values(about: MaskFacts, mask: Mask, palette: dict[int, int]) -> MaskFacts:
    counts = np.bincount(mask.ravel(), minlength=256)
    used = np.flatnonzero(counts).tolist()
    thin = frozenset(_thin_values(mask, counts)) if len(used) > 3 else frozenset[int]()
    values = {value: int(counts[value]) for value in used}
    shown = {value: palette[value] for value in used if value in palette}
    return replace(about, values=values, palette=shown, distinct=len(used), thin=thin)


def _of_colors(about: MaskFacts, packed: npt.NDArray[np.uint32]) -> MaskFacts:
    unique, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    if len(unique) > MOST_COLORS:
        return replace(about, distinct=len(unique))
    thin = _thin_values(inverse.reshape(packed.shape), counts)
    colors = {int(color): int(count) for color, count in zip(unique, counts, strict=True)}
    return replace(about, colors=colors, distinct=len(unique), thin=frozenset(int(unique[index]) for index in thin))


def _palette(path: Path) -> dict[int, int]:
    """0xRRGGBB by index; `read_header` has accepted the file."""
    with Image.open(path) as image:
        raw = image.getpalette("RGB") or []
    return {
        index: raw[3 * index] << 16 | raw[3 * index + 1] << 8 | raw[3 * index + 2] for index in range(len(raw) // 3)
    }


def _thin_values(values: npt.NDArray[np.integer], counts: npt.NDArray[np.int64]) -> list[int]:
    """Values whose pixels mostly lie in no 2 x 2 square of one value."""
    if min(values.shape) < 2:
        return []
    same_row, same_column = values[:, :-1] == values[:, 1:], values[:-1] == values[1:]
    square = same_row[:-1] & same_row[1:] & same_column[:, :-1]
    solid = np.zeros(values.shape, np.bool_)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            solid[rows, columns] |= square
    inside = np.bincount(values[solid], minlength=len(counts))
    return [int(value) for value in np.flatnonzero(counts) if inside[value] < _THIN * counts[value]]
