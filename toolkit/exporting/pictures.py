"""The pictures that an exported model is checked on and calibrated with."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.errors import DataError, SegError
from toolkit.files import files_below
from toolkit.labels.annotation import Mask
from toolkit.progress import Progress
from toolkit.runs.config import TrainConfig
from toolkit.voc.folder import VocFolder
from toolkit.voc.layout import IMAGE_SUFFIXES
from toolkit.voc.maskfile import read_ids
from toolkit.voc.pixels import read_image

_INVENTED_SIZE = (480, 640)


@dataclass(frozen=True)
class Picture:
    """A file of a picture and that of its mask, if it has one; no file: it is invented from its number."""

    path: Path | None
    mask: Path | None = None
    number: int = 0

    def read(self) -> npt.NDArray[np.uint8]:
        """uint8 (H, W, 3) RGB. Raises ImageError naming the file."""
        return invented(self.number) if self.path is None else read_image(self.path)

    def truth(self) -> Mask | None:
        """uint8 (H, W) class ids, if there is a mask. Raises ImageError naming the file."""
        return None if self.mask is None else read_ids(self.mask)


@dataclass(frozen=True)
class Pictures:
    """What to check on, and what to calibrate with (int8 only).

    origin   where those to check on come from, for people: "val images of datasets/VOCdevkit/VOC2007"
    real     whether they are photographs and not invented
    """

    check: tuple[Picture, ...]
    calibrate: tuple[Picture, ...]
    origin: str
    real: bool

    @property
    def scored(self) -> bool:
        """Whether all to check on have masks."""
        return bool(self.check) and all(picture.mask is not None for picture in self.check)


def choose_pictures(config: TrainConfig, images: Path | None, check: int, calibrate: int) -> Pictures:
    """Pick `check` and `calibrate` pictures, spread evenly over the sorted names: the same ones each time.

    images   a folder of pictures; None: the validation and training images of the dataset that the model was trained
             on, if it is still there, else invented ones

    Of one folder, those to calibrate with are others than those to check on, if there are enough. Raises DataError if
    the folder is not there or holds no picture.
    """
    if images is not None:
        found = _of_folder(images)
        tested = spread(found, check)
        rest = [picture for picture in found if picture not in tested]
        return Pictures(tested, spread(rest if len(rest) >= calibrate else found, calibrate), f"{images}", True)
    try:
        folder = VocFolder.find(Path(config.dataset))
        val, train = (_of_list(folder, side, config.fold) for side in ("val", "train"))
    except SegError:
        val, train = [], []
    if not val and not train:
        return invented_pictures(check)
    origin = f"{'val' if val else 'train'} images of {folder.root}"
    return Pictures(spread(val or train, check), spread(train, calibrate), origin, True)


def invented_pictures(count: int) -> Pictures:
    """To check on only."""
    return Pictures(tuple(Picture(None, number=number) for number in range(count)), (), "invented pictures", False)


def spread(pictures: list[Picture], count: int) -> tuple[Picture, ...]:
    """At most `count` of them, evenly spaced."""
    if len(pictures) <= count:
        return tuple(pictures)
    return tuple(pictures[(2 * index + 1) * len(pictures) // (2 * count)] for index in range(count))


def readable(pictures: tuple[Picture, ...], progress: Progress) -> Iterator[tuple[Picture, npt.NDArray[np.uint8]]]:
    """Each picture with its pixels. One that cannot be read is said and left out.

    Raises DataError if that is true of all.
    """
    bad: SegError | None = None
    good = 0
    for picture in pictures:
        try:
            pixels = picture.read()
        except SegError as error:
            bad = error
            progress.warn(f"{error} Left out.")
            continue
        good += 1
        yield picture, pixels
    if bad is not None and not good:
        raise DataError(f"none of {len(pictures)} pictures could be read; the last: {bad}")


def invented(number: int) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 3): clouds of several sizes with noise, a likeness of how photographs spread over frequencies."""
    rng = np.random.default_rng(number)
    H, W = _INVENTED_SIZE
    picture = np.zeros((H, W, 3), np.float32)
    for cells in (2, 4, 8, 16, 64):
        cloud = rng.normal(size=(cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(cloud, (W, H), interpolation=cv2.INTER_CUBIC) / np.sqrt(cells)
    picture += rng.normal(scale=0.05, size=picture.shape)
    return np.asarray((128 + 60 * picture).clip(0, 255), np.uint8)


def _of_folder(folder: Path) -> list[Picture]:
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder.")
    found = [Picture(path) for path in files_below(folder, IMAGE_SUFFIXES) if not path.name.startswith(".")]
    if not found:
        raise DataError(f"{folder}: no picture in it ({', '.join(IMAGE_SUFFIXES)}).")
    return found


def _of_list(folder: VocFolder, side: str, fold: int | None) -> list[Picture]:
    try:
        stems = folder.read_list(side, fold)
    except SegError:
        return []
    found = []
    for stem in sorted(stems):
        try:
            image, mask = folder.image(stem), folder.mask(stem)
        except SegError:  # listed, but gone since: training says so, here others serve as well
            continue
        if mask.is_file():
            found.append(Picture(image, mask))
    return found
