"""Small datasets whose masks hold given classes, and whose pictures look alike only where that is asked for."""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.datasets import write_sample
from toolkit.progress import Progress


class Listener(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        self.warnings.append(line)

    @property
    def text(self) -> str:
        return "\n".join(self.warnings)


def picture(scene: str) -> npt.NDArray[np.uint8]:
    """uint8 (64, 64, 3): coarse noise that depends on the name of the scene alone."""
    coarse = np.random.default_rng(zlib.crc32(scene.encode())).integers(0, 256, (8, 8, 3), np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)


def write_scenes(
    root: Path,
    contents: Mapping[str, Mapping[int, int]],
    names: Sequence[str] = ("_background_", "a", "b", "c", "d"),
    scenes: Mapping[str, str] | None = None,
) -> Path:
    """Write an image for each stem, with so many pixels of each class id, class 0 elsewhere.

    scenes   of stems that show the scene of another one, a little brighter; the others show their own
    """
    for stem, amounts in contents.items():
        ids = np.zeros(64 * 64, np.uint8)
        at = 0
        for class_id, pixels in amounts.items():
            ids[at : at + pixels] = class_id
            at += pixels
        shown = (scenes or {}).get(stem, stem)
        image = picture(shown)
        if shown != stem:
            image = np.clip(image.astype(np.int64) + 6, 0, 255).astype(np.uint8)
        write_sample(root, stem, image, ids.reshape(64, 64))
    (root / "class_names.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return root


def lists_of(root: Path) -> dict[str, list[str]]:
    """Every list, by its path below the folder of lists."""
    folder = root / "ImageSets" / "Segmentation"
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path.read_text(encoding="utf-8").split("\n")[:-1]
        for path in sorted(folder.rglob("*.txt"))
    }
