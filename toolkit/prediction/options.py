"""How pictures are shown to the network."""

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.errors import UsageError, unknown_name

TTA = ("flips", "scales")
"""Kinds of test-time augmentation: the logits of several views of a picture are averaged."""

_LARGEST_SIDE = 65_536


def words_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """Several words: of a list as they are, of a text those between its commas."""
    if isinstance(given, str):
        return tuple(word.strip() for word in given.split(",") if word.strip())
    return tuple(given)


def require_frames(every: int, frames: int | None) -> None:
    """Raise UsageError for a choice of frames that takes none: each `every`-th, at most `frames`."""
    if every < 1:
        raise UsageError(f"every: 1 (each frame) or more is possible, got {every}.")
    if frames is not None and frames < 1:
        raise UsageError(f"frames: 1 or more is possible, got {frames}.")


@dataclass(frozen=True)
class PredictOptions:
    """What size the network sees, and how often. By default the longer side is brought to the size of training.

    size        bring the longer side to this many pixels instead
    scale       or: multiply the picture's own sides by this, whatever its size (1: every pixel as it is); what is
                larger than a tile is cut into tiles
    tile        longest side of what the network sees at a time; None: the size of training where `scale` is given,
                else no limit. Given alone it means scale 1
    overlap     of neighbouring tiles, as a share of their side, 0..0.9
    letterbox   pad to a square of the size, as other tools do
    tta         any of TTA, in a list or a text with commas
    batch       pictures or tiles computed at a time; None: one on a CPU, eight on a GPU
    """

    size: int | None = None
    scale: float | None = None
    tile: int | None = None
    overlap: float = 0.25
    letterbox: bool = False
    tta: Sequence[str] = ()
    batch: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tta", words_of(self.tta))
        for name, value, low, high in (
            ("size", self.size, 1, _LARGEST_SIDE),
            ("scale", self.scale, 0.001, 100.0),
            ("tile", self.tile, 32, _LARGEST_SIDE),
            ("overlap", self.overlap, 0.0, 0.9),
            ("batch", self.batch, 1, 4096),
        ):
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name}: {low:g} to {high:g} is possible, got {value}.")
        if self.size is not None and self.scale is not None:
            raise UsageError("size and scale both say how large the network sees a picture. Give one of them.")
        if self.letterbox and (self.scale is not None or self.tile is not None):
            raise UsageError("letterbox brings pictures to one square; it does not go with scale or tile.")
        for kind in self.tta:
            if kind not in TTA:
                raise unknown_name("test-time augmentation", kind, TTA)
