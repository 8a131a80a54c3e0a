"""Class weights from the pixel counts of the training masks.

Each method gives float64 (K,) weights w with sum(share * w) = 1: the expected weight of a pixel is 1, so the loss
keeps its size and the learning rate its meaning. Classes without a pixel get weight 0, never infinity.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.errors import DatasetError, UsageError, unknown_name
from toolkit.labels.classmap import ClassMap
from toolkit.losses.given_weights import Given, read_given
from toolkit.losses.weight_warnings import warnings_about
from toolkit.progress import SILENT, Progress
from toolkit.voc.counts import PixelCounts, classes_of, count_masks
from toolkit.voc.folder import VocFolder

Weights = npt.NDArray[np.float64]
Method = Callable[[PixelCounts], Weights]
"""Takes the counts of classes that occur, all of them, gives weights up to a common factor."""

_NEARLY_EVEN = 1.5


def _inverse(counts: PixelCounts) -> Weights:
    """1 / share: every class has the same say, however small. King and Zeng 2001, "Logistic Regression in Rare Events
    Data"; scaled, it is n / (K * pixels), scikit-learn's `class_weight="balanced"`.
    """
    return 1 / counts.shares


def _sqrt(counts: PixelCounts) -> Weights:
    """1 / sqrt(share): half way, on a logarithmic scale, between no weights and `inverse`. Mahajan et al. 2018
    (arXiv:1805.00932), who sample classes so, after Mikolov et al. 2013 (arXiv:1310.4546).
    """
    return 1 / np.sqrt(counts.shares)


def _median(counts: PixelCounts) -> Weights:
    """median(freq) / freq, where freq is the share of a class in the images in which it occurs, so that rarity by
    image is not made up for. Eigen and Fergus 2015 (arXiv:1411.4734).
    """
    freq = counts.pixels / counts.among
    return np.asarray(np.median(freq) / freq)


def _enet(counts: PixelCounts) -> Weights:
    """1 / ln(1.02 + share): bounded, at most about 36 : 1. Paszke et al. 2016 (arXiv:1606.02147)."""
    return 1 / np.log(1.02 + counts.shares)


def _effective(counts: PixelCounts, beta: float | None = None) -> Weights:
    """(1 - beta) / (1 - beta**n) with n pixels of a class. Cui et al. 2019 (arXiv:1901.05555).

    beta   from 0 (all alike) to below 1 (`inverse`). None: (N - 1) / N with N the mean of n. The paper's 0.9999 is
           for thousands of images; of millions of pixels every class would have its full effect, and all weights
           would be 1. With N from the data, pictures of another size give the same weights: `inverse` for classes
           far smaller than the mean, nearly even for larger ones.
    """
    if beta is None:
        rest = 1 / float(counts.pixels.mean())
        log_beta = math.log1p(-rest) if rest < 1 else -math.inf
    else:
        rest = 1 - beta
        log_beta = math.log(beta) if beta > 0 else -math.inf
    return np.asarray(rest / -np.expm1(counts.pixels * log_beta))


METHODS: dict[str, Method] = {
    "inverse": _inverse,
    "sqrt": _sqrt,
    "median": _median,
    "enet": _enet,
    "effective": _effective,
}
NAMES = ("auto", "none", *METHODS)
_OTHERS = ("effective:BETA", "w0,w1,...", "FILE")


@dataclass(frozen=True)
class ClassWeights:
    """The weights, the counts they came from, and why they are what they are.

    method     that was taken: `none`, a name of METHODS, `effective:BETA` or `given`
    weights    float64 (K,) or None for an unweighted loss
    counts     of the training masks
    classes    whose ids are the positions in weights and counts
    reason     a sentence: who chose the method and why
    warnings   sentences: classes that cannot be learnt or hardly, and weights that hinder
    """

    method: str
    weights: Weights | None
    counts: PixelCounts
    classes: ClassMap
    reason: str
    warnings: tuple[str, ...]

    @property
    def values(self) -> Weights:
        """float64 (K,): the weights, 1 for each class if there are none."""
        return np.ones(len(self.classes)) if self.weights is None else self.weights

    @property
    def choice(self) -> str:
        """What chooses these weights again, to the last digit and without the file they may have come from."""
        return ",".join(map(repr, self.values.tolist())) if self.method == "given" else self.method

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        counts = self.counts
        columns = (counts.pixels, counts.shares, counts.images, self.values)
        rows = zip(self.classes.names, *(column.tolist() for column in columns), strict=True)
        return {
            "method": self.method,
            "reason": self.reason,
            "images": counts.total,
            "ignored": counts.ignored,
            "classes": [
                {"id": k, "name": name, "pixels": pixels, "share": share, "images": images, "weight": weight}
                for k, (name, pixels, share, images, weight) in enumerate(rows)
            ],
            "warnings": list(self.warnings),
        }


def class_weights(
    dataset: Path | str | None = None,
    choice: str = "auto",
    *,
    fold: int | None = None,
    workers: int | None = 0,
    progress: Progress = SILENT,
) -> ClassWeights:
    """The class weights that training on a dataset would use: from its train list, validation images not counted.

    dataset   None: the default dataset
    choice    auto, none, inverse, sqrt, median, enet, effective, effective:BETA, numbers `w0,w1,...`, or a FILE with
              numbers or with lines of `class name: weight`
    fold      of several, counted from 1
    workers   processes; 0: this one; None: more if they save more than they cost

    Raises UsageError for an unknown choice and numbers that do not fit, DataError for a file, a list or a mask that
    cannot be used, by name.
    """
    check_choice(choice)
    return weights_from_counts(choice, *train_counts(dataset, fold=fold, workers=workers, progress=progress))


def train_counts(
    dataset: Path | str | None = None,
    *,
    fold: int | None = None,
    workers: int | None = 0,
    progress: Progress = SILENT,
) -> tuple[PixelCounts, ClassMap]:
    """The counts of the masks on a dataset's train list, and its classes; see `class_weights`.

    Raises DataError naming the list or the mask, also if there is nothing but ignore.
    """
    folder = VocFolder.find(None if dataset is None else Path(dataset))
    stems = folder.read_list("train", fold)
    place = folder.list_file("train", fold)
    if not stems:
        raise DatasetError(f"{place}: names no image. Make the lists again: seg split {folder.root}")
    table = count_masks(folder, stems, workers=workers, progress=progress)
    classes = classes_of(table, progress)
    counts = table.counts(len(classes))
    if not counts.pixels.any():
        raise DatasetError(f"{place}: every pixel of the training masks is ignore; there is nothing to weigh.")
    return counts, classes


def weights_from_counts(choice: str, counts: PixelCounts, classes: ClassMap) -> ClassWeights:
    """Like `class_weights`, for counts that are there already. Raises UsageError or DataError, as there."""
    made = _parsed(choice)
    weights: Weights | None
    if isinstance(made, Given):
        method, reason, weights = "given", "as given", made.fit(classes)
        if counts.pixels.any() and not weights[counts.pixels > 0].any():
            raise made.error(f"{made.place}: every class that occurs has weight 0: nothing would be learnt.")
    elif choice == "auto":
        method, reason = _auto(counts, classes)
        weights = balanced(counts, METHODS[method]) if method in METHODS else None
    elif made is None:
        method, reason, weights = "none", "no class weights", None
    else:
        method, reason, weights = choice, f"{choice}, as asked", balanced(counts, made)
    return ClassWeights(method, weights, counts, classes, reason, warnings_about(method, weights, counts, classes))


def check_choice(choice: str) -> None:
    """Refuse, before any mask is read, what no dataset makes usable. Raises UsageError or DataError."""
    _parsed(choice)


def _parsed(choice: str) -> Method | Given | None:
    """The method or the numbers meant by a choice; None for `none` and, as it depends on the counts, `auto`."""
    if choice in NAMES:
        return METHODS.get(choice)
    name, colon, beta = choice.partition(":")
    if name == "effective" and colon:
        return partial(_effective, beta=_beta(choice, beta))
    given = read_given(choice)
    if given is None:
        raise unknown_name("class weights", choice, (*NAMES, *_OTHERS))
    return given


def _beta(choice: str, text: str) -> float:
    try:
        beta = float(text)
    except ValueError:
        beta = math.nan
    if not 0 <= beta < 1:
        raise UsageError(
            f"class weights: {choice}: beta is a number from 0 to below 1, such as effective:0.9999; "
            "without one it is chosen from the data."
        )
    return beta


def _auto(counts: PixelCounts, classes: ClassMap) -> tuple[str, str]:
    """Which method suits the counts, and the sentence that says why."""
    present = np.flatnonzero(counts.pixels)
    if present.size < 2:
        return "none", "auto: none, because there are not two classes to weigh against each other"
    order = present[np.argsort(counts.pixels[present], kind="stable")]
    ratio = counts.pixels[order[-1]] / counts.pixels[order[0]]
    if ratio <= _NEARLY_EVEN:
        return "none", f"auto: none, because the classes are nearly even (largest : smallest = {ratio:.1f} : 1)"
    large, small = classes.names[order[-1]], classes.names[order[0]]
    times = f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"
    return "sqrt", (
        f"auto: sqrt, because '{large}' has {times} times the pixels of '{small}'; "
        "'inverse' would trade more precision for recall"
    )


def balanced(counts: PixelCounts, method: Method) -> Weights:
    """Apply a method to the classes that occur and scale so that the expected weight is 1. All 0 if none occurs."""
    weights = np.zeros(len(counts.pixels))
    present = counts.pixels > 0
    if present.any():
        occurring = replace(
            counts, pixels=counts.pixels[present], images=counts.images[present], among=counts.among[present]
        )
        made = method(occurring)
        weights[present] = made / (made * occurring.shares).sum()
    return weights
