"""How a dataset is to be divided, and how many images that makes for each side."""

import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from toolkit.errors import DatasetError, UsageError

Amount = float | int
"""A share of the images, between 0 and 1, or a whole number of images."""

DEFAULT_RATIO = 0.9
MOST_FOLDS = 100


@dataclass(frozen=True)
class SplitOptions:
    """How images are chosen; kept in split.json so that `keep` goes on in the same way.

    ratio        share that is trained on; None: what the others leave
    val, test    shares or numbers of images; None: what the others leave, and none
    seed         another seed, another choice
    random       a plain shuffle, which knows nothing of classes
    kfold        so many folds instead of train and val
    group_by     `folder`, a file, or a pattern: images that have to stay together
    allow_leaks  near-identical images may come to lie on different sides

    Raises UsageError for values that are out of range or contradict each other, naming the option.
    """

    ratio: float | None = None
    val: Amount | None = None
    test: Amount | None = None
    seed: int = 0
    random: bool = False
    kfold: int | None = None
    group_by: str | None = None
    allow_leaks: bool = False

    def __post_init__(self) -> None:
        if self.ratio is not None and not 0 < self.ratio < 1:
            raise UsageError(
                f"ratio: a share between 0 and 1 is needed (0.9: nine of ten images for training), got {self.ratio:g}."
            )
        _check_amount("val", self.val, least=1)
        _check_amount("test", self.test, least=0)
        if self.kfold is not None:
            self._check_folds(self.kfold)
        elif self.ratio is not None:
            self._check_sum(self.ratio)

    def _check_folds(self, folds: int) -> None:
        if not 2 <= folds <= MOST_FOLDS:
            raise UsageError(f"kfold: 2 to {MOST_FOLDS} folds are possible, got {folds}.")
        given = "ratio" if self.ratio is not None else "val" if self.val is not None else ""
        if given:
            raise UsageError(f"{given}: with {folds} folds, one {folds}th of the images is validated on. Leave it out.")

    def _check_sum(self, ratio: float) -> None:
        shares = [_exact(ratio)] + [_exact(a) for a in (self.val, self.test) if a is not None and _is_share(a)]
        total = sum(shares)
        if self.val is None and total >= 1:
            raise UsageError(f"ratio {self.ratio:g} and test {self.test:g} leave nothing for validation.")
        if self.val is not None and not (_is_share(self.val) and total == 1):
            raise UsageError("ratio and val say the same thing twice, and not the same. Give one of them.")

    def sizes(self, images: int) -> tuple[int, int, int]:
        """How many of two or more images are for train, val and test. Raises DatasetError if there are too few."""
        test = self.test_size(images)
        if self.val is not None:
            val = _number(self.val, images)
        else:
            share = 1 - _exact(DEFAULT_RATIO if self.ratio is None else self.ratio)
            if self.test and self.ratio is not None:
                share -= _exact(self.test) if _is_share(self.test) else Fraction(test, images)
            if share <= 0:
                raise DatasetError(
                    f"{test} images for testing and a ratio of {self.ratio:g} leave none for validation."
                )
            val = min(max(1, _rounded(images * share)), max(1, images - test - 1))  # few images are not all taken
        train = images - val - test
        if train < 1:
            parts = f"{val} for validation" + (f" and {test} for testing" if test else "")
            raise DatasetError(f"{images} images are too few: {parts} leave none to train on. Ask for less.")
        return train, val, test

    def sizes_of_sides(self, images: int) -> list[int]:
        """How many of some images are for train and val, or for each fold, and for test if that was asked for."""
        test = self.test_size(images)
        sides = list(self.sizes(images)[:2]) if self.kfold is None else self.fold_sizes(images - test)
        return [*sides, *([test] if self.test else [])]

    def fold_sizes(self, images: int) -> list[int]:
        """How many of some images are in each fold; none if there are no folds."""
        folds = self.kfold or 0
        return [images // folds + (fold < images % folds) for fold in range(folds)]

    def test_size(self, images: int) -> int:
        """How many of some images are for testing."""
        return _number(self.test, images) if self.test else 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def _check_amount(name: str, amount: Amount | None, *, least: int) -> None:
    if amount is None or (isinstance(amount, int) and amount >= least) or 0 < amount < 1:
        return
    raise UsageError(
        f"{name}: a share between 0 and 1 or a whole number of images is needed (0.1 or 20), got {amount}."
    )


def _is_share(amount: Amount) -> bool:
    return 0 < amount < 1


def _number(amount: Amount, images: int) -> int:
    return max(1, _rounded(images * _exact(amount))) if _is_share(amount) else int(amount)


def _exact(share: Amount) -> Fraction:
    return Fraction(str(share))  # exact: 25 * (1 - 0.9) is 2.4999... in floating point


def _rounded(number: Fraction) -> int:
    return math.floor(number + Fraction(1, 2))
