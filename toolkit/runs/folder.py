"""A run on disk.

runs/train-N/config.yaml               all effective options
             manifest.json             versions, machine, classes, pictures of each side
             log.csv                   one row an epoch
             log.txt                   what was said, with times
             weights/best.safetensors  highest score on the validation images
             weights/last.safetensors  after the last epoch
             weights/state.pt          all that going on needs
             weights/good.pt           the same, as it was when an epoch last ended well: where bad steps lead back to
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import DataError
from toolkit.files import new_folder, numbered_folder, write_text
from toolkit.runs.manifest import MANIFEST

RUNS = Path("runs")


def numbered_runs(kind: str) -> list[Path]:
    """Each `runs/KIND-N`, the highest N first. kind: "train" or "predict"."""
    found = ((re.fullmatch(rf"{kind}-(\d+)", path.name), path) for path in RUNS.glob(f"{kind}-*"))
    return [path for _, path in sorted(((int(name[1]), path) for name, path in found if name), reverse=True)]


@dataclass(frozen=True)
class RunFolder:
    """The folder of one training run and the names in it."""

    root: Path

    @classmethod
    def create(cls, out: Path | None) -> "RunFolder":
        """A new folder: `out`, which must be empty, or the next free `runs/train-N`."""
        return cls(new_folder(out) if out is not None else numbered_folder(RUNS, "train"))

    @classmethod
    def newest(cls, *, to_resume: bool = False) -> "RunFolder":
        """The run with the highest number that holds a best checkpoint (or, to be resumed, options).

        Raises DataError with the way out.
        """
        numbered = numbered_runs("train")
        for path in numbered:
            run = cls(path)
            if (run.config if to_resume else run.best).is_file():
                return run
        what = "no run to resume" if to_resume else "no trained model"
        raise DataError(
            f"{what} in {RUNS}{'/' if numbered else ' (the folder is empty or missing)'}. Train one with: seg train"
        )

    @classmethod
    def existing(cls, path: Path) -> "RunFolder":
        """A run that was made before. Raises DataError if the folder is none."""
        run = cls(path)
        if not run.config.is_file():
            why = "needs config.yaml and weights" if path.exists() else "there is no such folder"
            raise DataError(f"{path}: not a training run: {why}. Runs are in {RUNS}.")
        return run

    @classmethod
    def best_of(cls, run: Path | str | None) -> Path:
        """The best checkpoint of a run, or of the newest one. Raises DataError if there is none yet."""
        if run is None:
            return cls.newest().best
        found = cls.existing(Path(run))
        if not found.best.is_file():
            raise DataError(
                f"{found.best}: there is no such checkpoint yet. Let the run finish an epoch: seg train --resume {run}"
            )
        return found.best

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def manifest(self) -> Path:
        return self.root / MANIFEST

    @property
    def log(self) -> Path:
        return self.root / "log.csv"

    @property
    def text_log(self) -> Path:
        return self.root / "log.txt"

    @property
    def samples(self) -> Path:
        return self.root / "val_samples.jpg"

    @property
    def best(self) -> Path:
        return self.root / "weights" / "best.safetensors"

    @property
    def last(self) -> Path:
        return self.root / "weights" / "last.safetensors"

    @property
    def state(self) -> Path:
        return self.root / "weights" / "state.pt"

    @property
    def good_state(self) -> Path:
        return self.root / "weights" / "good.pt"

    def write_log(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write `log.csv` whole, so that a kill never leaves half a row."""
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        write_text(self.log, buffer.getvalue())
