"""Every training option and its default: the one place from which the command line, YAML and Python take them."""

import math
import re
import types
import typing
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from toolkit.errors import DataError, UsageError, did_you_mean
from toolkit.losses import LOSSES
from toolkit.voc.layout import DEFAULT_ROOT
from toolkit.yamlfile import read_yaml


def _option(
    default: Any,
    help: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: tuple[str, ...] = (),
    flag: str = "",
) -> Any:
    rule = {"help": help, "at_least": at_least, "at_most": at_most, "choices": choices, "flag": flag}
    return field(default=default, metadata=rule)


@dataclass(frozen=True)
class TrainConfig:
    """Options of a training run. None means: chosen when training starts, and written to the run's config.yaml; of
    `fold`: train.txt and val.txt.

    Raises UsageError for a value out of range, naming the option.
    """

    dataset: str = _option(str(DEFAULT_ROOT), "A dataset in VOC layout.")
    fold: int | None = _option(
        None, "Of several: train on its lists, see seg split --kfold. [default: train.txt and val.txt]", at_least=1
    )
    model: str = _option("vgg16-unet", "Architecture; seg models lists them.")
    width: int | None = _option(
        None, "Channels at full size, for models that offer it. [default: the model's own]", at_least=1, at_most=4096
    )
    upscale: int = _option(
        1, "Times that the mask is finer than what the network sees, for models that offer it.", at_least=1, at_most=8
    )
    encoder_weights: str = _option(
        "auto", "imagenet, none, a FILE or a folder; auto: imagenet if it can be had, else none, said."
    )
    weights: str = _option(
        "none", "Begin with all weights of a model: a run, or a FILE of seg or of a tutorial; none: the encoder's only."
    )
    epochs: int = _option(100, "Passes over the training images.", at_least=1, at_most=1_000_000)
    batch: int | str = _option(
        2,
        "Images at a time, over all devices; auto: as many as fit.",
        at_least=1,
        at_most=100_000,
        flag="--batch,--batch-size,-b",
    )
    accumulate: int = _option(1, "Batches in a step of the optimizer.", at_least=1, at_most=100_000)
    size: int = _option(
        512,
        "The longer side of a picture inside the network, in pixels.",
        at_least=32,
        at_most=32_768,
        flag="--size,--imgsz",
    )
    lr: float | None = _option(
        None,
        "Highest learning rate. [default: adam, adamw 1e-4, or 1e-3 from nothing with BatchNorm in the decoder; sgd 1e-2]",
        at_least=0,
        at_most=1e30,
    )
    optimizer: str = _option("adam", "adam, adamw or sgd.", choices=("adam", "adamw", "sgd"))
    weight_decay: float = _option(
        0.0, "L2 penalty; with adamw, decay of the weights themselves.", at_least=0, at_most=1e30
    )
    schedule: str = _option(
        "cosine",
        "How the learning rate falls: cosine, poly, step, onecycle or constant.",
        choices=("cosine", "poly", "step", "onecycle", "constant"),
    )
    warmup_epochs: float = _option(
        1.0,
        "Epochs over which the learning rate rises first; onecycle has a rise of its own.",
        at_least=0,
        at_most=1_000_000,
    )
    clip: float = _option(0.0, "Largest norm of the gradient, longer ones are shortened; 0: any.", at_least=0)
    ema: float = _option(
        0.0,
        "Keep a running mean of the weights, 0.999 or so of it old; it is what is scored and saved. 0: none.",
        at_least=0,
    )
    freeze_epochs: int | None = _option(
        None, "First epochs with the encoder at rest. [default: a fifth if it has learnt weights, else 0]", at_least=0
    )
    loss: str = _option(
        "ce", f"{', '.join(LOSSES)}; with parameters: focal:gamma=3, ce:smoothing=0.1 (docs/training.md)."
    )
    class_weights: str = _option("none", "auto, none, inverse, sqrt, median, enet, effective, w0,w1,... or a FILE.")
    augment: str = _option("default", "none, light, default, strong or a YAML FILE (docs/augmentation.md).")
    cache: str = _option(
        "none",
        "disk: keep decoded, reduced pictures beside the dataset, for slow processors.",
        choices=("none", "disk"),
    )
    on_bad_image: str = _option(
        "stop", "An image or mask that cannot be read: stop, or skip it and go on.", choices=("stop", "skip")
    )
    amp: bool | None = _option(None, "16-bit arithmetic. [default: where the device is built for it]")
    compile: bool = _option(False, "Compile the model first: minutes at the start, quicker steps on a GPU.")
    sync_bn: bool = _option(False, "With several GPUs: BatchNorm over the images of all of them.")
    device: str = _option("auto", "auto, cpu, cuda, a number, several (0,1), or mps.")
    workers: int | None = _option(
        None,
        "Processes that load images. [default: 0 on a CPU, else up to 8]",
        at_least=0,
        at_most=512,
        flag="--workers,-j",
    )
    metric: str = _option(
        "miou",
        "By which the best epoch is chosen: miou, mean_dice, mean_recall, mean_precision, fw_iou or pixel_accuracy.",
        choices=("miou", "mean_dice", "mean_recall", "mean_precision", "fw_iou", "pixel_accuracy"),
    )
    patience: int = _option(0, "Stop after so many epochs without a better score; 0: never.", at_least=0)
    save_minutes: float = _option(10.0, "Save the state that often within an epoch, too.", at_least=0)
    track: str = _option("none", "Also log to tensorboard, wandb or mlflow; several with commas.")
    seed: int = _option(0, "Seed of weights, order and augmentation.", at_least=0)

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            rule = option.metadata
            if value is None:
                continue
            if isinstance(value, float) and not math.isfinite(value):
                raise UsageError(f"{option.name}: a finite number is needed, got {value}.")
            if option.name == "batch" and isinstance(value, str):
                if value != "auto":
                    raise UsageError(f"batch: a whole number or auto is needed, got '{value}'.")
                continue
            if rule["at_least"] is not None and not value >= rule["at_least"]:
                raise UsageError(f"{option.name}: at least {rule['at_least']:g} is needed, got {value}.")
            if rule["at_most"] is not None and not value <= rule["at_most"]:
                raise UsageError(f"{option.name}: at most {rule['at_most']:g} is possible, got {value}.")
            if rule["choices"] and value not in rule["choices"]:
                hint = did_you_mean(str(value), rule["choices"])
                raise UsageError(f"{option.name}: '{value}' is not one of {', '.join(rule['choices'])}.{hint}")
        if not all(name.strip() for name in self.device.split(",")):
            raise UsageError(f"device: a name is missing in '{self.device}'. Several are written as 0,1.")
        if self.weights != "none" and self.encoder_weights not in ("auto", "none"):
            raise UsageError(
                f"weights: {self.weights} fills the encoder too. Leave out encoder_weights {self.encoder_weights}, or weights."
            )
        if self.ema >= 1:
            raise UsageError(f"ema: a share below 1 is needed, such as 0.999, got {self.ema}.")

    def to_yaml(self) -> str:
        """All values, in the order of the class."""
        return yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], place: str) -> "TrainConfig":
        """Check names and types of a mapping. Raises UsageError naming `place`, the key and the closest known one."""
        hints = typing.get_type_hints(cls)
        checked = {}
        for key, value in values.items():
            if key not in hints:
                raise UsageError(f"{place}: '{key}' is not an option.{did_you_mean(str(key), hints)}")
            checked[key] = _typed(value, hints[key], f"{place}: {key}")
        try:
            return cls(**checked)
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None

    @classmethod
    def read(cls, path: Path) -> "TrainConfig":
        """Read YAML; options that are not named keep their defaults. Raises DataError or UsageError naming the file."""
        return cls.from_dict(read_options(path), str(path))


def read_options(path: Path) -> dict[str, Any]:
    """The options named in a YAML file, unchecked. Raises DataError naming the file."""
    content = read_yaml(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise DataError(f"{path}: lines of 'option: value' are needed.")
    return {str(key): value for key, value in content.items()}


def default_text(name: str) -> str | None:
    """How the default of an option is shown in help, None if its help text says it."""
    (option,) = (candidate for candidate in fields(TrainConfig) if candidate.name == name)
    return None if option.default in (None, MISSING) else str(option.default)


def _typed(value: Any, hint: Any, place: str) -> Any:
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if int in allowed and str in allowed and isinstance(value, str) and re.fullmatch("[+-]?[0-9]{1,18}", value):
        return int(value)
    if type(value) in allowed:
        return value
    if float in allowed and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 1000:
        return float(value)
    if float in allowed and isinstance(value, str):  # YAML reads 1e-4 as text
        try:
            return float(value)
        except ValueError:
            pass
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    wanted = " or ".join(words[kind] for kind in allowed if kind is not type(None))
    raise UsageError(f"{place}: {wanted} is needed, got {value!r}.")
