"""Class weights from pixel counts.

Each method gives float64 (K,) weights w with sum(share * w) = 1: the expected weight of a pixel is 1, so the loss
keeps its size and the learning rate its meaning. Classes without a pixel get weight 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from toolkit.errors import UsageError, unknown_name
from toolkit.labels.classmap import ClassMap
from toolkit.voc.counts import PixelCounts

Shares = npt.NDArray[np.float64]

_NEARLY_EVEN = 1.5


def _inverse(shares: Shares) -> Shares:
    """Proportional to 1 / share: every class has the same say, however small."""
    return 1 / shares


def _sqrt(shares: Shares) -> Shares:
    """Proportional to 1 / sqrt(share): half way, on a logarithmic scale, between no weights and `inverse`."""
    return 1 / np.sqrt(shares)


def _median(shares: Shares) -> Shares:
    """median(share) / share: Eigen and Fergus 2015 (arXiv:1411.4734), with shares taken over all pixels."""
    return np.asarray(np.median(shares) / shares)


def _enet(shares: Shares) -> Shares:
    """1 / ln(1.02 + share): Paszke et al. 2016 (arXiv:1606.02147); bounded, at most about 50 : 1."""
    return 1 / np.log(1.02 + shares)


METHODS: dict[str, Callable[[Shares], Shares]] = {"inverse": _inverse, "sqrt": _sqrt, "median": _median, "enet": _enet}
NAMES = ("auto", "none", *METHODS)


@dataclass(frozen=True)
class ClassWeights:
    """The weights, the counts they came from, and why they are what they are.

    weights   float64 (K,) or None for an unweighted loss
    """

    weights: Shares | None
    counts: PixelCounts
    reason: str

    def table(self, classes: ClassMap) -> list[tuple[str, int, float, int, float]]:
        """Rows of class name, pixels, share, images, weight."""
        weights = np.ones(len(classes)) if self.weights is None else self.weights
        counts = self.counts
        return [
            (name, int(counts.pixels[k]), float(counts.shares[k]), int(counts.images[k]), float(weights[k]))
            for k, name in enumerate(classes.names)
        ]


def class_weights(choice: str, counts: PixelCounts, classes: ClassMap) -> ClassWeights:
    """Weights by a method's name, `auto`, `none`, numbers `w0,w1,...`, or a file with one number a line.

    Raises UsageError for an unknown name or numbers that do not fit the classes.
    """
    if choice == "none":
        return ClassWeights(None, counts, "no class weights")
    if choice == "auto":
        present = counts.shares[counts.shares > 0]
        ratio = present.max() / present.min() if present.size else 1.0
        if ratio <= _NEARLY_EVEN:
            return ClassWeights(
                None, counts, f"auto: none, because the classes are nearly even (largest : smallest = {ratio:.1f} : 1)"
            )
        reason = f"auto: sqrt, because the largest class has {ratio:,.0f} times the pixels of the smallest; 'inverse' would trade more precision for recall"
        return ClassWeights(balanced(counts.shares, _sqrt), counts, reason)
    if choice in METHODS:
        return ClassWeights(balanced(counts.shares, METHODS[choice]), counts, f"{choice}, as asked")
    numbers = _given(choice, classes)
    return ClassWeights(numbers, counts, "as given")


def balanced(shares: Shares, method: Callable[[Shares], Shares]) -> Shares:
    """Apply a method to the classes that occur and scale so that the expected weight is 1."""
    weights = np.zeros(len(shares))
    present = shares > 0
    if present.any():
        weights[present] = method(shares[present])
        weights /= (weights * shares).sum()
    return weights


def _given(choice: str, classes: ClassMap) -> Shares:
    path = Path(choice)
    if path.is_file():
        text = path.read_text(encoding="utf-8-sig").replace("\n", ",")
    elif any(character.isdecimal() for character in choice):
        text = choice
    else:
        raise unknown_name("class weights", choice, (*NAMES, "w0,w1,...", "FILE"))
    try:
        numbers = [float(item) for item in text.split(",") if item.strip()]
    except ValueError:
        raise UsageError(f"class weights: numbers separated by commas are needed, got '{choice}'.") from None
    if len(numbers) != len(classes):
        raise UsageError(
            f"class weights: {len(classes)} numbers are needed ({', '.join(classes.names)}), got {len(numbers)}."
        )
    if not all(math.isfinite(number) and number >= 0 for number in numbers) or not any(numbers):
        raise UsageError("class weights: numbers from 0 on are needed, at least one above 0.")
    return np.array(numbers)
