"""What a call predicted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.findings import Finding


@dataclass(frozen=True)
class PredictReport:
    """What a call predicted, or, gone on with, it and the calls before it.

    root         the output folder: one subfolder for each kind of output
    checkpoint   what predicted
    images       how many pictures were predicted
    pixels       predicted pixels by class name, of pictures and frames
    failures     pictures and films that could not be read, or not to their end
    engine       what computed, and in which precision
    frames       how many frames of films or of a camera were predicted
    kept         labelme files that were there already and stay as they are: next to pictures, or corrected meanwhile
    replaced     labelme files that were there, had been made or looked at by a person, and were replaced as asked
    renewed      how many labelme files were replaced that were predictions and that nobody had looked at
    continued    how many pictures and films were finished before this call
    pictures     absolute path of the folder that all sources have in common; None: a camera, or several drives
    sources      how many pictures and films there are
    beside       whether labelme files were to be written next to the pictures
    finished     whether all is done: false in a shard while others are still at work
    """

    root: Path
    checkpoint: Path
    images: int
    pixels: dict[str, int]
    failures: tuple[Finding, ...] = ()
    engine: str = ""
    frames: int = 0
    kept: tuple[str, ...] = ()
    continued: int = 0
    finished: bool = True
    pictures: str | None = None
    sources: int = 0
    replaced: tuple[str, ...] = ()
    renewed: int = 0
    beside: bool = False

    @property
    def ok(self) -> bool:
        """Whether every picture was predicted."""
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "out": str(self.root),
            "checkpoint": str(self.checkpoint),
            "engine": self.engine,
            "images": self.images,
            "frames": self.frames,
            "pixels": self.pixels,
            "kept": list(self.kept),
            "replaced": list(self.replaced),
            "renewed": self.renewed,
            "failures": [item.as_dict() for item in self.failures],
            "continued": self.continued,
            "finished": self.finished,
        }
