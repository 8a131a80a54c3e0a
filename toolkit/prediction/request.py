"""What a call of `predict` asks for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.prediction.options import PredictOptions, words_of
from toolkit.prediction.writers.options import WriteOptions


@dataclass(frozen=True)
class PredictRequest:
    """The words of `toolkit.predict` and of `seg predict`. `toolkit.prediction.plan.make_plan` sees whether they go
    together.

    sources        files, folders, glob patterns, lists, `camera:N`, see `toolkit.prediction.sources.find_sources`
    run, weights   a run's folder (its best checkpoint), or a checkpoint or exported model; neither: the newest run
    out            folder for the results; None: the next `runs/predict-N`
    save           kinds of output, see `toolkit.prediction.kinds`, in a list or a text with commas; None: mask, overlay,
                   ids and labelme of pictures, video of films
    options        how pictures are shown to the network
    writing        how predictions are written
    engine, precision, device   see `toolkit.prediction.predictor.load`; of several devices, `0,1`, each has a process
    allow_code     import and run the model's own code, if it is one of `py:module:callable`
    beside         write labelme files next to the pictures; files that are there stay
    renew          with `beside`: of those that are there, replace the predictions that nobody has looked at, as their
                   flag `predicted` says
    overwrite      with `beside`: replace all that are there, somebody's too
    every, frames  of films and cameras: each N-th frame; at most so many
    shard          `2/8`: the second of eight calls that share the work and one `out`
    resume         go on with what was begun in `out`, or in the newest unfinished `runs/predict-N`; words at their
                   defaults are those of the beginning, see `toolkit.prediction.folder.beginning`
    """

    sources: tuple[str, ...] = ()
    run: Path | str | None = None
    weights: Path | str | None = None
    out: Path | str | None = None
    save: Sequence[str] | None = None  # a tuple, once it is made
    options: PredictOptions = field(default_factory=PredictOptions)
    writing: WriteOptions = field(default_factory=WriteOptions)
    engine: str = "auto"
    precision: str = "auto"
    device: str = "auto"
    allow_code: bool = False
    beside: bool = False
    renew: bool = False
    overwrite: bool = False
    every: int = 1
    frames: int | None = None
    shard: str | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if self.save is not None:
            object.__setattr__(self, "save", words_of(self.save))
