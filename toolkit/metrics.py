"""One integer confusion matrix, all scores.

Conventions: rows are truth, columns prediction; pixels whose truth is ignore (255) are counted nowhere; the matrix
is summed over all images before any score is taken (not averaged over images); classes that occur neither in truth
nor in prediction have no score and are left out of the means. Background counts like any other class.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.labels.annotation import Mask
from toolkit.labels.classmap import IGNORE


class Confusion:
    """int64 (K, K) counts; can be added up over images and processes in any order."""

    def __init__(self, classes: int) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros((classes, classes), np.int64)

    def add(self, truth: Mask, prediction: Mask) -> None:
        """Count two uint8 masks of one shape. Raises ValueError if shapes differ or an id is not below K."""
        if truth.shape != prediction.shape:
            raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} differ in shape")
        K = len(self.counts)
        counted = truth != IGNORE
        rows, columns = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
        if rows.size and max(rows.max(), columns.max()) >= K:
            raise ValueError(f"a mask holds id {max(rows.max(), columns.max())}, but there are {K} classes")
        self.counts += np.bincount(rows * K + columns, minlength=K * K).reshape(K, K)

    def scores(self, names: Sequence[str]) -> "Scores":
        """Every score; `names` in id order."""
        return Scores.of(self.counts, tuple(names))


MEANS = ("miou", "pixel_accuracy", "mean_recall", "mean_precision", "fw_iou", "mean_dice")
"""The scores that are one number, in the order of log.csv."""


@dataclass(frozen=True)
class Scores:
    """All in 0..1; NaN where a class does not occur (see the conventions above).

    miou             mean over classes of intersection / union
    pixel_accuracy   correct pixels / all pixels
    mean_recall      mean over the classes in the truth of correct / pixels of that truth ("mean pixel accuracy", "class accuracy")
    mean_precision   mean over classes of correct / pixels of that prediction
    fw_iou           IoU weighted by each class's share of the truth
    mean_dice        mean over classes of 2 * intersection / (truth + prediction)
    iou, recall, precision, dice   by class, in id order
    """

    names: tuple[str, ...]
    miou: float
    pixel_accuracy: float
    mean_recall: float
    mean_precision: float
    fw_iou: float
    mean_dice: float
    iou: tuple[float, ...]
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    dice: tuple[float, ...]

    @classmethod
    def of(cls, counts: npt.NDArray[np.int64], names: tuple[str, ...]) -> "Scores":
        """Scores of an int64 (K, K) matrix."""
        hit = np.diag(counts).astype(np.float64)
        truth, predicted = counts.sum(1).astype(np.float64), counts.sum(0).astype(np.float64)
        iou = _ratio(hit, truth + predicted - hit)
        recall, precision = _ratio(hit, truth), _ratio(hit, predicted)
        precision[(predicted == 0) & (truth > 0)] = 0.0  # a class that is always missed counts in the mean
        dice = _ratio(2 * hit, truth + predicted)
        total = truth.sum()
        return cls(
            names=names,
            miou=_mean(iou),
            pixel_accuracy=float(hit.sum() / total) if total else float("nan"),
            mean_recall=_mean(recall),
            mean_precision=_mean(precision),
            fw_iou=float(np.nansum(iou * truth) / total) if total else float("nan"),
            mean_dice=_mean(dice),
            iou=tuple(iou.tolist()),
            recall=tuple(recall.tolist()),
            precision=tuple(precision.tolist()),
            dice=tuple(dice.tolist()),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        per_class = {
            name: {"iou": _plain(i), "recall": _plain(r), "precision": _plain(p), "dice": _plain(d)}
            for name, i, r, p, d in zip(self.names, self.iou, self.recall, self.precision, self.dice, strict=True)
        }
        return {name: _plain(getattr(self, name)) for name in MEANS} | {"classes": per_class}


def _ratio(above: npt.NDArray[np.float64], below: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    ratio = np.full(len(above), np.nan)
    np.divide(above, below, out=ratio, where=below > 0)
    return ratio


def _mean(values: npt.NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
