"""VOC folder -> samples. uint8 arrays until `Preprocess`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from toolkit.data.augment import Augment
from toolkit.data.preprocess import Preprocess
from toolkit.data.transforms import training_view
from toolkit.errors import DatasetError, SegError
from toolkit.labels.annotation import Mask
from toolkit.voc.folder import VocFolder
from toolkit.voc.maskfile import read_ids
from toolkit.voc.pairs import size_mismatch
from toolkit.voc.pixels import read_image


@dataclass(frozen=True)
class Sample:
    """One image with its mask, both at the original size: uint8 (H, W, 3) RGB and uint8 (H, W) ids."""

    image: npt.NDArray[np.uint8]
    mask: Mask
    stem: str


@dataclass(frozen=True)
class Batch:
    """Training samples of one size, as bytes: they become float32 on the device, where that costs nothing.

    images    uint8 (N, S, S, 3) RGB
    targets   uint8 (N, r S, r S) class ids, 255 = ignore; r is the model's upscale, mostly 1
    stems     of the N samples
    unread    an error for each sample that should be here and could not be read
    """

    images: torch.Tensor
    targets: torch.Tensor
    stems: tuple[str, ...]
    unread: tuple[SegError, ...] = ()

    def pin_memory(self) -> "Batch":
        """For torch's DataLoader."""
        return replace(self, images=self.images.pin_memory(), targets=self.targets.pin_memory())


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
        image, mask = read_image(path), read_ids(self.folder.mask(stem))
        if image.shape[:2] != mask.shape:
            raise size_mismatch(path, (image.shape[0], image.shape[1]), (mask.shape[0], mask.shape[1]))
        return Sample(image, mask, stem)


class Samples(Protocol):
    """Images with masks, by index: a dataset's files, or a faster copy of them."""

    @property
    def stems(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


Item: TypeAlias = tuple[npt.NDArray[np.uint8], Mask, str]


class TrainingSamples(Dataset[Item | SegError]):
    """Augmented samples; each draw is a function of (seed, epoch, index) and of nothing else."""

    def __init__(self, samples: Samples, preprocess: Preprocess, augment: Augment, seed: int, classes: int) -> None:
        self.samples = samples
        self.preprocess = preprocess
        self.augment = augment
        self.seed = seed
        self.classes = classes

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> Item | SegError:
        """(epoch, index) -> uint8 (S, S, 3), uint8 (r S, r S), stem.

        A sample that cannot be read gives its error instead: raised in a loader process, it would reach the user
        with that process's traceback in its text.
        """
        epoch, index = key
        try:
            sample = self.samples[index]
            rng = np.random.default_rng((self.seed, epoch, index))
            image, mask = training_view(sample.image, sample.mask, self.preprocess, self.augment, rng)
            refuse_foreign_ids(mask, sample.stem, self.classes)
        except SegError as error:
            return error
        return image, mask, sample.stem

    def collate(self, items: Sequence[Item | SegError]) -> Batch:
        """Stack the samples that could be read; there may be none."""
        good = [item for item in items if not isinstance(item, SegError)]
        size, fine = self.preprocess.size, self.preprocess.size * self.preprocess.upscale
        images = np.stack([item[0] for item in good]) if good else np.empty((0, size, size, 3), np.uint8)
        targets = np.stack([item[1] for item in good]) if good else np.empty((0, fine, fine), np.uint8)
        unread = tuple(item for item in items if isinstance(item, SegError))
        return Batch(torch.from_numpy(images), torch.from_numpy(targets), tuple(item[2] for item in good), unread)


@dataclass(frozen=True)
class Scored:
    """A validation sample: network input uint8 (h', w', 3), its mask uint8 (r h', r w'), and the mask as it was (H, W)."""

    image: npt.NDArray[np.uint8]
    target: Mask
    truth: Mask


class ValidationSamples(Dataset[Scored | SegError]):
    """Samples to score a model with: the whole picture, unchanged but for its size."""

    def __init__(self, samples: Samples, preprocess: Preprocess, classes: int) -> None:
        self.samples = samples
        self.preprocess = preprocess
        self.classes = classes

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Scored | SegError:
        """A sample, or the error of one that cannot be read, see TrainingSamples."""
        try:
            sample = self.samples[index]
            refuse_foreign_ids(sample.mask, sample.stem, self.classes)
        except SegError as error:
            return error
        return Scored(self.preprocess.fit(sample.image), self.preprocess.apply_mask(sample.mask), sample.mask)


def refuse_foreign_ids(mask: Mask, stem: str, classes: int) -> None:
    """Raise DatasetError if a mask that was sound when training began holds an id that is no class now."""
    highest = int((mask + np.uint8(1)).max(initial=0))  # 255, ignore, becomes 0
    if highest > classes:
        raise DatasetError(
            f"{stem}: its mask holds the value {highest - 1}, but there are {classes} classes. "
            "It was changed after training began; correct it."
        )
