"""VOC folder -> samples. uint8 arrays until `Preprocess`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from toolkit.data.preprocess import Preprocess
from toolkit.data.transforms import Augment, training_view
from toolkit.errors import SegError
from toolkit.labels.annotation import Mask
from toolkit.voc.folder import VocFolder
from toolkit.voc.pairs import size_mismatch
from toolkit.voc.pixels import read_image, read_mask


@dataclass(frozen=True)
class Sample:
    """One image with its mask, both at the original size: uint8 (H, W, 3) RGB and uint8 (H, W) ids."""

    image: npt.NDArray[np.uint8]
    mask: Mask
    stem: str


@dataclass(frozen=True)
class Batch:
    """Network input: images float32 (N, 3, H, W), targets int64 (N, H, W) with 255 = ignore, N stems."""

    images: torch.Tensor
    targets: torch.Tensor
    stems: tuple[str, ...]

    def pin_memory(self) -> "Batch":
        """For torch's DataLoader."""
        return Batch(self.images.pin_memory(), self.targets.pin_memory(), self.stems)


@dataclass(frozen=True)
class VocSamples:
    """The images and masks of a list of stems."""

    folder: VocFolder
    stems: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> Sample:
        """Read one sample. Raises ImageError or DatasetError naming the file."""
        stem = self.stems[index]
        path = self.folder.image(stem)
        image, mask = read_image(path), read_mask(self.folder.mask(stem))
        if image.shape[:2] != mask.shape:
            raise size_mismatch(path, (image.shape[0], image.shape[1]), (mask.shape[0], mask.shape[1]))
        return Sample(image, mask, stem)


Item: TypeAlias = tuple[torch.Tensor, torch.Tensor, str]


class TrainingSamples(Dataset[Item | SegError]):
    """Augmented samples; each draw is a function of (seed, epoch, index) and of nothing else."""

    def __init__(self, samples: VocSamples, preprocess: Preprocess, augment: Augment, seed: int) -> None:
        self.samples = samples
        self.preprocess = preprocess
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> Item | SegError:
        """(epoch, index) -> float32 (3, S, S), int64 (S, S), stem.

        A sample that cannot be read gives its error instead: raised in a loader process, it would reach the user
        with that process's traceback in its text.
        """
        epoch, index = key
        try:
            sample = self.samples[index]
        except SegError as error:
            return error
        rng = np.random.default_rng((self.seed, epoch, index))
        image, mask = training_view(sample.image, sample.mask, self.preprocess, self.augment, rng)
        return self.preprocess.normalise(image), torch.from_numpy(mask).long(), sample.stem


def collate(items: Sequence[Item | SegError]) -> Batch | SegError:
    """Stack equally sized samples, or hand on the first error among them."""
    good = [item for item in items if not isinstance(item, SegError)]
    if len(good) < len(items):
        return next(item for item in items if isinstance(item, SegError))
    images, targets, stems = zip(*good, strict=True)
    return Batch(torch.stack(images), torch.stack(targets), tuple(stems))
