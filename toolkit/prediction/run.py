"""Many pictures -> files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import toolkit
from toolkit.errors import DataError, UsageError
from toolkit.files import new_folder, numbered_folder, write_text
from toolkit.findings import Finding
from toolkit.prediction.predictor import load
from toolkit.prediction.sources import find_sources
from toolkit.prediction.writers import WRITERS
from toolkit.progress import SILENT, Progress
from toolkit.runs.folder import RUNS, RunFolder

DEFAULT_SAVE = ("mask", "overlay", "ids", "labelme")


@dataclass(frozen=True)
class PredictReport:
    """What a call predicted.

    root         the output folder: one subfolder for each kind of output
    checkpoint   what predicted
    images       how many pictures were predicted
    pixels       predicted pixels by class name
    failures     pictures that could not be read
    """

    root: Path
    checkpoint: Path
    images: int
    pixels: dict[str, int]
    failures: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every picture was predicted."""
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "out": str(self.root),
            "checkpoint": str(self.checkpoint),
            "images": self.images,
            "pixels": self.pixels,
            "failures": [item.as_dict() for item in self.failures],
        }


def predict(
    sources: Sequence[str | Path] | str | Path,
    *,
    run: Path | str | None = None,
    weights: Path | str | None = None,
    out: Path | str | None = None,
    save: Sequence[str] = DEFAULT_SAVE,
    device: str = "auto",
    amp: bool | None = None,
    allow_code: bool = False,
    progress: Progress = SILENT,
) -> PredictReport:
    """Predict files, folders and glob patterns and write the results to `out` or the next `runs/predict-N`.

    run, weights   a run's folder (its best checkpoint) or a checkpoint file; neither: the newest run
    save           kinds of output, see `toolkit.prediction.writers`
    allow_code     import and run the model's own code, if it is one of `py:module:callable`

    A picture that cannot be read is reported and the others go on. Raises DataError if nothing can be predicted,
    CheckpointError if the checkpoint cannot be used, UsageError for wrong names.
    """
    if run is not None and weights is not None:
        raise UsageError("run and weights both name a checkpoint. Give one of them.")
    writers = {kind: WRITERS.load(kind) for kind in dict.fromkeys(save)}
    if not writers:
        raise UsageError(f"save: name at least one kind of output: {', '.join(WRITERS)}.")
    checkpoint = Path(weights) if weights is not None else _run(run).best
    found = find_sources([sources] if isinstance(sources, str | Path) else sources)
    predictor = load(checkpoint, device=device, amp=amp, allow_code=allow_code)
    root = new_folder(Path(out)) if out is not None else numbered_folder(RUNS, "predict")

    pixels = dict.fromkeys(predictor.classes.names, 0)
    failures = []
    for source in progress.track(found, "Predicting", len(found)):
        try:
            prediction = predictor.predict(source.path)
        except DataError as error:
            text = str(error).removeprefix(f"{source.path}: ")
            failures.append(Finding(str(source.path), text))
            progress.warn(f"{source.path}: {text} Skipped.")
            continue
        for kind, write in writers.items():
            write(prediction, source.path, root / kind / source.name)
        for k, name in enumerate(predictor.classes.names):
            pixels[name] += int((prediction.mask == k).sum())
    report = PredictReport(root, checkpoint, len(found) - len(failures), pixels, tuple(failures))
    if not report.images:
        root.rmdir()
        raise DataError(f"none of {len(found)} pictures could be read; the first: {failures[0]}")
    write_text(
        root / "manifest.json",
        json.dumps({"seg": toolkit.__version__, **report.as_dict()}, indent=2, ensure_ascii=False) + "\n",
    )
    return report


def _run(run: Path | str | None) -> RunFolder:
    if run is None:
        return RunFolder.newest()
    found = RunFolder.existing(Path(run))
    if not found.best.is_file():
        raise DataError(
            f"{found.best}: there is no such checkpoint yet. Let the run finish an epoch: seg train --resume {run}"
        )
    return found
