"""Class weights that the user gives: numbers, or a file with numbers or with `class name: weight`."""

import math
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from toolkit.errors import DataError, SegError, UsageError, did_you_mean
from toolkit.files import read_file
from toolkit.labels.annotation import clean_label
from toolkit.labels.classmap import ClassMap

_LARGEST_FILE = 1 << 17  # 255 names of 500 letters
_SMALLEST, _LARGEST = 1e-12, 1e12  # sums over millions of pixels stay far from the ends of 32-bit numbers
_SHOWN = 12
_FORMATS = "Write one number a line, in class order, or lines of 'class name: weight'."


@dataclass(frozen=True)
class Given:
    """Numbers in class order, or (name, number) pairs in any order; not yet compared with the classes of a dataset.

    place    starts every message: the file, or `class weights` for what was typed
    error    what is raised: DataError for a file, UsageError for what was typed
    """

    numbers: tuple[float, ...] | tuple[tuple[str, float], ...]
    place: str
    error: type[SegError]

    def fit(self, classes: ClassMap) -> npt.NDArray[np.float64]:
        """float64 (K,). Raises `error` naming classes that are missing, unknown or named twice."""
        weights = np.full(len(classes), np.nan)
        pairs = [item for item in self.numbers if isinstance(item, tuple)]
        for name, number in pairs:
            k = _id_of(name, classes)
            if k is None:
                raise self.error(
                    f"{self.place}: '{name}' is no class of the dataset.{did_you_mean(name, classes.names)} "
                    f"Classes: {_listed(classes.names)}."
                )
            if not np.isnan(weights[k]):
                raise self.error(f"{self.place}: '{name}' is listed twice. Remove one.")
            weights[k] = number
        missing = [classes.names[k] for k in np.flatnonzero(np.isnan(weights))]
        if pairs and missing:
            raise self.error(
                f"{self.place}: there is no weight for {_listed(missing)}. Add it; 0 for a class not to learn."
            )
        if not pairs:
            if len(self.numbers) != len(classes):
                raise self.error(
                    f"{self.place}: {len(classes)} numbers are needed ({_listed(classes.names)}), got {len(self.numbers)}."
                )
            weights[:] = self.numbers
        return weights


def read_given(choice: str) -> Given | None:
    """What the user typed or wrote into the file named `choice`; None if it is neither numbers nor a path.

    Raises DataError for a file, UsageError for numbers, that no dataset would make usable.
    """
    path = Path(choice)
    if choice.strip() and _is_there(path):
        return _read(path)
    numbers = _numbers([choice])
    if numbers is not None:
        return _checked(Given(numbers, "class weights", UsageError))
    if "," in choice:
        raise UsageError(f"class weights: numbers separated by commas are needed, got '{choice[:80]}'.")
    if "/" in choice or "\\" in choice or (path.suffix and ":" not in choice):
        raise DataError(f"{path}: there is no such file of class weights.")
    return None


def weights_yaml(heading: str, names: Iterable[str], weights: npt.NDArray[np.float64]) -> str:
    """The text of a file that `read_given` reads back to the last digit, whatever the names are."""
    mapping = dict(zip(names, weights.tolist(), strict=True))
    return f"# {heading}\n" + yaml.safe_dump(mapping, sort_keys=False, allow_unicode=True)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no name of a file: too long, as many numbers are, or with a null character
        return False


def _read(path: Path) -> Given:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
        raise DataError(f"{path}: is {what}; a file with class weights is needed.")
    if status.st_size > _LARGEST_FILE:
        raise DataError(
            f"{path}: has {status.st_size:,} bytes, too many for class weights (at most {_LARGEST_FILE:,}). {_FORMATS}"
        )
    try:
        text = read_file(path, _LARGEST_FILE, DataError).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error.reason}). Save it as UTF-8.") from None
    numbers = _numbers([line for line in text.splitlines() if line.strip()])
    return _checked(Given(_by_name(path, text) if numbers is None else numbers, str(path), DataError))


def _numbers(lines: Iterable[str]) -> tuple[float, ...] | None:
    """All numbers, if there is nothing else; a comma may end a line."""
    try:
        return tuple(float(item) for line in lines for item in line.strip().removesuffix(",").split(","))
    except ValueError:
        return None


def _by_name(path: Path, text: str) -> tuple[tuple[str, float], ...]:
    """The pairs of a YAML mapping, from its nodes: `yes`, `1` and `null` are names as they stand, `1e-4` is a number,
    and nothing is built of what a file of a few lines can unfold to.
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        # the last two are what PyYAML lets through: "\UFFFFFFFF", a version of 5000 digits
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: is neither numbers nor YAML ({reason}). {_FORMATS}") from None
    if not isinstance(root, yaml.MappingNode) or not root.value:
        odd = (
            (k, line.strip()) for k, line in enumerate(text.splitlines(), 1) if line.strip() and not _numbers([line])
        )
        number, line = next(odd)
        raise DataError(f"{path}: holds no class weights: line {number} is '{line[:60]}'. {_FORMATS}")
    return tuple(_pair(path, key, value) for key, value in root.value)


def _pair(path: Path, key: yaml.Node, value: yaml.Node) -> tuple[str, float]:
    place = f"{path}: line {key.start_mark.line + 1}"
    if not isinstance(key, yaml.ScalarNode):
        raise DataError(f"{place}: a class name is needed before the colon.")
    if not isinstance(value, yaml.ScalarNode):
        raise DataError(f"{place}: '{key.value}': a number is needed, got a list or a mapping.")
    try:
        return key.value, float(value.value)
    except ValueError:
        raise DataError(f"{place}: '{key.value}': a number is needed, got '{value.value[:60]}'.") from None


def _checked(given: Given) -> Given:
    pairs = [item if isinstance(item, tuple) else ("", item) for item in given.numbers]
    for name, number in pairs:
        if number and not _SMALLEST <= number <= _LARGEST:
            whose = f"{given.place}: '{name}'" if name else given.place
            far = math.isfinite(number) and number > 0
            limits = f" Above 0, they go from {_SMALLEST:g} to {_LARGEST:g}." if far else ""
            raise given.error(f"{whose}: numbers from 0 on are needed, got {number:g}.{limits}")
    if pairs and not any(number for _, number in pairs):
        raise given.error(f"{given.place}: at least one number above 0 is needed.")
    return given


def _id_of(name: str, classes: ClassMap) -> int | None:
    for known in (name, clean_label(name)):
        if known in classes.names:
            return classes.names.index(known)
    return None


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")
