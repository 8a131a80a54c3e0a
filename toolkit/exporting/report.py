"""What exporting gave."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Computed:
    """How a file, computed in one way, compares with plain PyTorch in fp32 on the same pictures.

    engine           what computed, and in which numbers, for people: "onnxruntime, fp32"
    difference       largest difference of a logit, as a share of the largest logit
    agreement        share of pixels with the same class, 0..1, over all pictures; and that of the worst picture
    speed            how many times as fast as plain PyTorch, median over the pictures
    miou             on the pictures' masks, 0..1; None: there are none
    """

    engine: str
    difference: float
    agreement: float
    worst_agreement: float
    speed: float
    miou: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "engine": self.engine,
            "largest_difference": _digits(self.difference),
            "agreement": _digits(self.agreement),
            "worst_agreement": _digits(self.worst_agreement),
            "speed": round(self.speed, 3),
            "miou": None if self.miou is None else round(self.miou, 6),
        }


@dataclass(frozen=True)
class ExportedFile(Computed):
    """One model in one format, computed in fp32, which shows the rounding of its own numbers alone; int8 in int8.

    path             the file to give to `seg predict --weights`
    files            all that belongs to it, `path` first
    precision        of the numbers in it
    size             of all its files, in bytes
    seconds          that writing took
    predicting       as `seg predict` computes it on this CPU, if that is in other numbers; None: it is not
    """

    path: Path
    files: tuple[Path, ...]
    format: str
    precision: str
    size: int
    seconds: float
    predicting: Computed | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "path": str(self.path),
            "files": [str(path) for path in self.files],
            "format": self.format,
            "precision": self.precision,
            "bytes": self.size,
            **super().as_dict(),
            "seconds": round(self.seconds, 2),
            "predicting": None if self.predicting is None else self.predicting.as_dict(),
        }


@dataclass(frozen=True)
class ExportReport:
    """What `export` wrote.

    checkpoint     what was exported
    pictures       how many it was checked on, and where they are from
    real           whether these are photographs, not invented ones
    miou           of plain PyTorch in fp32 on their masks, 0..1; None: there are none
    calibrated_on  how many pictures int8 was calibrated with
    files          one for each format
    """

    checkpoint: Path
    pictures: int
    origin: str
    real: bool
    miou: float | None
    calibrated_on: int
    files: tuple[ExportedFile, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "checkpoint": str(self.checkpoint),
            "pictures": self.pictures,
            "origin": self.origin,
            "real": self.real,
            "miou": None if self.miou is None else round(self.miou, 6),
            "calibrated_on": self.calibrated_on,
            "files": [item.as_dict() for item in self.files],
        }


def _digits(value: float) -> float:
    return float(f"{value:.7g}")
