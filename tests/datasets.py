"""Tiny datasets in VOC layout, written without `seg`: pictures whose colours give their classes away."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

NAMES = ("_background_", "disc", "bar")
COLORS = np.array([(40, 40, 40), (220, 60, 60), (60, 200, 90), (70, 90, 230)], np.uint8)
IGNORE = 255


def write_voc(
    root: Path,
    *,
    train: int = 5,
    val: int = 2,
    names: Sequence[str] = NAMES,
    size: tuple[int, int] = (40, 48),
    palette: bool = True,
) -> Path:
    """Write `train` + `val` pictures of slightly different sizes with masks, lists and class names; returns `root`."""
    rng = np.random.default_rng(7)
    stems = [f"pic_{index}" for index in range(train + val)]
    for index, stem in enumerate(stems):
        mask = scene((size[0] + 3 * index, size[1] - 2 * index), len(names), rng)
        write_sample(root, stem, paint(mask, rng), mask, palette=palette)
    write_list(root, "train", stems[:train])
    write_list(root, "val", stems[train:])
    (root / "class_names.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return root


def scene(size: tuple[int, int], classes: int, rng: np.random.Generator) -> Pixels:
    """uint8 (H, W): class 0 with a rectangle of every other class on it, and two rows of ignore at the bottom."""
    H, W = size
    mask = np.zeros(size, np.uint8)
    for k in range(1, classes):
        height, width = H // 3, W // 3
        left = (k - 1) * W // max(1, classes - 1)  # side by side: every class is in every picture
        top = int(rng.integers(0, H - height - 2))
        mask[top : top + height, left : left + width] = k
    mask[-2:] = IGNORE
    return mask


def paint(mask: Pixels, rng: np.random.Generator) -> Pixels:
    """uint8 (H, W) ids -> uint8 (H, W, 3): each class in its colour, with noise."""
    colors = COLORS[np.where(mask == IGNORE, 0, mask)].astype(np.int64)
    noise = rng.integers(-15, 16, colors.shape)
    return (colors + noise).clip(0, 255).astype(np.uint8)


def write_sample(root: Path, stem: str, image: Pixels, mask: Pixels, *, palette: bool = True) -> None:
    """Write a picture (PNG: nothing is lost) and its mask, mode P or L."""
    for folder in ("JPEGImages", "SegmentationClass"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / "JPEGImages" / f"{stem}.png")
    write_mask(root, stem, mask, palette=palette)


def write_mask(root: Path, stem: str, mask: Pixels, *, palette: bool = True) -> Path:
    """Write or replace one mask."""
    picture = Image.fromarray(mask)
    if palette:
        picture.putpalette(list(range(256)) * 3)
    path = root / "SegmentationClass" / f"{stem}.png"
    picture.save(path)
    return path


def write_list(root: Path, side: str, stems: Sequence[str]) -> Path:
    """Write or replace a list of stems."""
    path = root / "ImageSets" / "Segmentation" / f"{side}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
    return path


def stems_of(root: Path, side: str) -> list[str]:
    """The stems of a list."""
    return (root / "ImageSets" / "Segmentation" / f"{side}.txt").read_text(encoding="utf-8").split()


def mask_of(root: Path, stem: str) -> Pixels:
    """A mask as Pillow reads it."""
    with Image.open(root / "SegmentationClass" / f"{stem}.png") as image:
        return np.array(image)
