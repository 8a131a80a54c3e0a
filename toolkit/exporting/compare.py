"""Engines against plain PyTorch, picture by picture: values, classes, scores and time.

K classes; H, W the picture's own size; h, w what the network sees of it.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from toolkit.engines.base import Engine
from toolkit.errors import DataError, ImageError, RunError
from toolkit.exporting.pictures import Picture, readable
from toolkit.labels.annotation import Mask
from toolkit.metrics import Confusion
from toolkit.progress import SILENT, Progress

_WARMED_SIZES = 4


@dataclass
class Measured:
    """What one engine gave, added up over pictures. All times are seconds by the clock.

    largest     logit of the reference, by absolute value
    difference  largest absolute difference to the reference's logit
    equal       pixels, at the network's size and without padding, with the class that the reference gives them
    pixels      all of those
    worst       smallest share of equal pixels of a picture
    pictures    how many were computed
    seconds     for each picture that was timed
    confusion   against the masks at the pictures' own size; None: there are no masks
    """

    largest: float = 0.0
    difference: float = 0.0
    equal: int = 0
    pixels: int = 0
    worst: float = 1.0
    pictures: int = 0
    seconds: list[float] = field(default_factory=list)
    confusion: Confusion | None = None

    @property
    def agreement(self) -> float:
        """Share of pixels with the reference's class, 0..1."""
        return self.equal / self.pixels if self.pixels else math.nan

    @property
    def relative(self) -> float:
        """The largest difference, as a share of the largest logit."""
        return self.difference / self.largest if self.largest else self.difference

    @property
    def miou(self) -> float | None:
        """Mean IoU over the classes, 0..1, or None without masks."""
        if self.confusion is None:
            return None
        names = tuple(str(k) for k in range(len(self.confusion.counts)))
        value = self.confusion.scores(names).miou
        return None if math.isnan(value) else value


def compare(
    reference: Engine,
    engines: Mapping[str, Engine],
    pictures: tuple[Picture, ...],
    *,
    scored: bool = False,
    square: bool = False,
    progress: Progress = SILENT,
) -> tuple[Measured, dict[str, Measured]]:
    """Show every picture to the reference and to each engine in turn, so that what else the machine does slows all alike.

    scored   also score each with the pictures' masks
    square   show the middle square of each picture only; does not go with `scored`

    Engines that prepare themselves for a size do so on a first picture of it, computed twice, of which the first time
    does not count; after several sizes, pictures of further ones are not timed. Raises DataError if no picture can
    be read, RunError if an engine gives logits of another shape than the reference.
    """
    K = len(reference.card.classes)
    base, found = Measured(), {name: Measured() for name in engines}
    if scored:
        for measured in (base, *found.values()):
            measured.confusion = Confusion(K)
    warm: set[torch.Size] = set()
    progress.begin("Comparing", len(pictures))
    for picture, whole in readable(pictures, progress):
        preprocess = reference.card.preprocess
        pixels = _middle(whole) if square else whole
        size = (pixels.shape[0], pixels.shape[1])
        images = torch.from_numpy(np.array(preprocess.fit(pixels)))[None]
        if images.shape not in warm and len(warm) < _WARMED_SIZES:
            warm.add(images.shape)
            for engine in (reference, *engines.values()):
                engine.logits(images)
        counts = images.shape in warm
        h, w = (preprocess.upscale * length for length in preprocess.fitted(size))
        truth = _truth(picture, size) if scored else None
        expected = _computed(reference, images, base, counts)[:, :, :h, :w]
        classes = expected.argmax(1)
        _score(base, expected, truth, picture, reference)
        for name, engine in engines.items():
            measured = found[name]
            logits = _computed(engine, images, measured, counts)[:, :, :h, :w]
            if logits.shape != expected.shape:
                raise RunError(f"{name}: gives logits {tuple(logits.shape)} where {tuple(expected.shape)} are due.")
            _add(measured, expected, logits, classes)
            _score(measured, logits, truth, picture, reference)
        progress.advance()
    progress.end()
    return base, found


def _computed(engine: Engine, images: torch.Tensor, measured: Measured, counts: bool) -> torch.Tensor:
    """The logits, on the CPU; the time they took is added to `measured`, if it counts."""
    began = time.perf_counter()
    logits = engine.logits(images).cpu()
    if counts:
        measured.seconds.append(time.perf_counter() - began)
    measured.pictures += 1
    return logits


def _middle(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def _add(measured: Measured, expected: torch.Tensor, logits: torch.Tensor, classes: torch.Tensor) -> None:
    difference = float((logits - expected).abs().max())
    measured.difference = max(measured.difference, math.inf if math.isnan(difference) else difference)
    measured.largest = max(measured.largest, float(expected.abs().max()))
    equal = int((logits.argmax(1) == classes).sum())
    measured.equal += equal
    measured.pixels += classes.numel()
    measured.worst = min(measured.worst, equal / classes.numel())


def _score(measured: Measured, logits: torch.Tensor, truth: Mask | None, picture: Picture, reference: Engine) -> None:
    if truth is not None and measured.confusion is not None:
        mask = reference.card.preprocess.undo(logits[0], (truth.shape[0], truth.shape[1]))
        try:
            measured.confusion.add(truth, mask)
        except ValueError as error:
            raise DataError(f"{picture.mask}: {error}. It is of other classes than the model.") from None


def _truth(picture: Picture, size: tuple[int, int]) -> Mask | None:
    truth = picture.truth()
    if truth is None or truth.shape == size:
        return truth
    raise ImageError(
        f"{picture.mask}: has {truth.shape[0]} x {truth.shape[1]} pixels, its picture {size[0]} x {size[1]}."
    )
