"""What a part of a table takes beside its name, as in `focal:gamma=3` or `fcn8s:upsampling=fixed`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from toolkit.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Number:
    """A number from `lowest` to `highest`; whole ones only if `whole`."""

    name: str
    default: float
    lowest: float
    highest: float
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.lowest:g} to {self.highest:g}, default {self.default:g})"

    def read(self, text: str, place: str) -> float | int:
        """The number in a text. Raises UsageError naming `place`."""
        try:
            number = int(text) if self.whole else float(text)
        except ValueError:
            number = math.nan
        if not self.lowest <= number <= self.highest:
            kind = "whole number" if self.whole else "number"
            allowed = f"a {kind} from {self.lowest:g} to {self.highest:g}"
            raise UsageError(f"{place}: {allowed} is needed, got '{text}'.")
        return number


@dataclass(frozen=True)
class Choice:
    """One of some words, of which the first is the default."""

    name: str
    words: tuple[str, ...]

    @property
    def default(self) -> str:
        return self.words[0]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.words)}; default {self.default})"

    def read(self, text: str, place: str) -> str:
        """The word. Raises UsageError naming `place` and the closest one."""
        if text not in self.words:
            raise UsageError(
                f"{place}: '{text}' is not one of {', '.join(self.words)}.{did_you_mean(text, self.words)}"
            )
        return text


Parameter: TypeAlias = Number | Choice
Value: TypeAlias = float | int | str


def parse_parameters(what: str, name: str, text: str, known: Sequence[Parameter]) -> dict[str, Value]:
    """`key=value,...` -> the parameters of the part `name` that are given; `what` is the part's word in messages.

    Raises UsageError for an unknown one, with the closest known one, and for a value out of range.
    """
    by_name = {parameter.name: parameter for parameter in known}
    takes = f"{name} takes {', '.join(map(str, known)) or 'no parameters'}."
    given: dict[str, Value] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise UsageError(
                f"{what}: '{name}:{text}': after the colon, parameter=value is needed, got '{part}'. {takes}"
            )
        if key not in by_name:
            raise UsageError(f"{what}: '{key}' is not a parameter of {name}.{did_you_mean(key, by_name)} {takes}")
        if key in given:
            raise UsageError(f"{what}: '{name}:{text}': {key} is there twice. Give it once.")
        given[key] = by_name[key].read(value, f"{what}: {name}:{key}")
    return given
