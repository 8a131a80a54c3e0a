"""What augmentation may change and how much: options, presets, and YAML files of them. Nothing here touches pixels."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from toolkit.errors import DataError, UsageError, did_you_mean, unknown_name
from toolkit.yamlfile import parse_yaml, read_yaml

_PRESET = "preset"


def _within(default: Any, lowest: float, highest: float) -> Any:
    return field(default=default, metadata={"lowest": lowest, "highest": highest})


@dataclass(frozen=True)
class Augment:
    """How strongly samples are varied. As it stands, nothing is: the same as the preset none.

    Lengths are pixels of the square that the network sees; a chance is the share of the samples that are changed.

    scale          zoom against the fitted size, (least, most), drawn evenly in its logarithm
    aspect         largest stretch of width against height, or of height against width
    rotation       largest turn either way, in degrees, drawn evenly
    rotation_chance
    shift          where the picture lies if it is smaller than the square, and which part is cut if it is larger. 0: at
                   the top left, as for validation, and the middle; 1: anywhere; between: that share of the way
    flip           chance of a left-right flip
    flip_vertical  chance of an up-down flip
    quarter_turns  chance of a turn by 90, 180 or 270 degrees
    rare           chance that the part that is cut has to show a class drawn evenly from those of the mask
    brightness, contrast, saturation   largest relative change, drawn evenly up and down
    hue            largest turn of the colour circle either way, in degrees, drawn evenly
    blur           largest standard deviation of a Gaussian blur, in pixels, drawn evenly from 0
    blur_chance
    noise          largest standard deviation of Gaussian noise, in values of 0..255, drawn evenly from 0
    noise_chance
    jpeg           lowest quality of a JPEG compression, drawn evenly up to 100; 100: none
    jpeg_chance

    Raises UsageError naming an option that is out of range.
    """

    scale: tuple[float, float] = _within((1.0, 1.0), 0.05, 20)
    aspect: float = _within(1.0, 1, 4)
    rotation: float = _within(0.0, 0, 180)
    rotation_chance: float = _within(1.0, 0, 1)
    shift: float = _within(0.0, 0, 1)
    flip: float = _within(0.0, 0, 1)
    flip_vertical: float = _within(0.0, 0, 1)
    quarter_turns: float = _within(0.0, 0, 1)
    rare: float = _within(0.0, 0, 1)
    brightness: float = _within(0.0, 0, 1)
    contrast: float = _within(0.0, 0, 1)
    saturation: float = _within(0.0, 0, 1)
    hue: float = _within(0.0, 0, 180)
    blur: float = _within(0.0, 0, 20)
    blur_chance: float = _within(0.15, 0, 1)
    noise: float = _within(0.0, 0, 100)
    noise_chance: float = _within(0.15, 0, 1)
    jpeg: float = _within(100.0, 1, 100)
    jpeg_chance: float = _within(0.15, 0, 1)

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            lowest, highest = option.metadata["lowest"], option.metadata["highest"]
            for number in value if isinstance(value, tuple) else (value,):
                if not lowest <= number <= highest:  # also NaN
                    raise UsageError(f"{option.name}: {lowest:g} to {highest:g} is possible, got {number:g}.")
        if self.scale[0] > self.scale[1]:
            low, high = self.scale
            raise UsageError(f"scale: the least comes first, then the most, got [{low:g}, {high:g}].")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and YAML: numbers, and a list of two for `scale`.

        They name the preset none as what they change, so that options of later versions stay off.
        """
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {_PRESET: "none", **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], place: str) -> "Augment":
        """The inverse of `as_dict`; options that are not named keep the value of `preset`, or of default without one.

        Raises DataError naming `place`, the option, and the closest known name of one that is not known.
        """
        base = str(values.get(_PRESET, "default"))
        if base not in AUGMENTS:
            raise DataError(
                f"{place}: {_PRESET}: '{base}' is not one of {', '.join(AUGMENTS)}.{did_you_mean(base, AUGMENTS)}"
            )
        options = {option.name: option for option in fields(cls)}
        changed = {}
        for name, value in values.items():
            if name == _PRESET:
                continue
            if name not in options:
                raise DataError(
                    f"{place}: '{name}' is not an option of augmentation.{did_you_mean(name, [_PRESET, *options])} "
                    f"Known: {', '.join([_PRESET, *options])}."
                )
            changed[name] = _typed(value, options[name], place)
        try:
            return replace(AUGMENTS[base], **changed)
        except UsageError as error:
            raise DataError(f"{place}: {error}") from None


AUGMENTS = {
    "none": Augment(),
    "light": Augment((0.8, 1.25), shift=1.0, flip=0.5, brightness=0.1, contrast=0.1, saturation=0.1),
    "default": Augment(
        (0.6, 1.8), aspect=1.15, shift=1.0, flip=0.5, brightness=0.25, contrast=0.25, saturation=0.3, hue=8.0
    ),
    "strong": Augment(
        (0.5, 2.0),
        aspect=1.3,
        rotation=15.0,
        rotation_chance=0.5,
        shift=1.0,
        flip=0.5,
        rare=0.33,
        brightness=0.4,
        contrast=0.4,
        saturation=0.5,
        hue=18.0,
        blur=1.5,
        noise=12.0,
        jpeg=40.0,
    ),
}


def augment_by_name(choice: str) -> Augment:
    """A preset by its name, or the options in the YAML file `choice`, or `{option: value, ...}` itself.

    A file holds lines of `option: value` as `Augment` names them, and may name the preset that it changes (`preset:
    strong`; without it: default). Raises UsageError with the closest preset for a name that is neither, DataError
    naming file and option for a file that cannot be used.
    """
    if choice in AUGMENTS:
        return AUGMENTS[choice]
    if choice.startswith("{"):
        return Augment.from_dict(_mapping(parse_yaml(choice, "augment"), "augment"), "augment")
    path = Path(choice)
    if choice.lower().endswith((".yaml", ".yml")) or "/" in choice or "\\" in choice or _is_there(path):
        return Augment.from_dict(_mapping(read_yaml(path), str(path)), str(path))
    error = unknown_name("augmentation", choice, AUGMENTS)
    raise UsageError(f"{error} Or a YAML file of options.")


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name of a file: too long, or with a null character
        return False


def _mapping(content: Any, place: str) -> dict[str, Any]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise DataError(f"{place}: lines of 'option: value' are needed, such as 'rotation: 10'.")
    return {str(name): value for name, value in content.items()}


def _typed(value: Any, option: "Field[Any]", place: str) -> Any:
    assert option.default is not MISSING
    if not isinstance(option.default, tuple):
        number = _number(value)
        if number is None:
            raise DataError(f"{place}: {option.name}: a number is needed, got {value!r}.")
        return number
    numbers = [_number(item) for item in value] if isinstance(value, list) else []
    pair = tuple(number for number in numbers if number is not None)
    if len(numbers) != 2 or len(pair) != 2:
        raise DataError(
            f"{place}: {option.name}: the least and the most are needed, such as [0.6, 1.8], got {value!r}."
        )
    return pair


def _number(value: Any) -> float | None:
    """YAML reads 1e-1 as text; true and false are numbers to Python only; nan is none to anybody."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number
