"""Many pictures -> files."""

from collections.abc import Callable, Sequence
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.prediction.options import PredictOptions
from toolkit.prediction.plan import Plan, make_plan
from toolkit.prediction.report import PredictReport
from toolkit.prediction.team import Team
from toolkit.prediction.writers.options import WriteOptions
from toolkit.progress import SILENT, Progress
from toolkit.training.group import join_group, leave_group
from toolkit.training.launch import is_one_of_several


def predict(
    sources: Sequence[str | Path] | str | Path = (),
    *,
    run: Path | str | None = None,
    weights: Path | str | None = None,
    out: Path | str | None = None,
    save: Sequence[str] | None = None,
    options: PredictOptions | None = None,
    writing: WriteOptions | None = None,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    allow_code: bool = False,
    beside: bool = False,
    overwrite: bool = False,
    every: int = 1,
    frames: int | None = None,
    shard: str | None = None,
    resume: bool = False,
    progress: Progress = SILENT,
    should_stop: Callable[[], bool] = lambda: False,
) -> PredictReport:
    """Predict pictures, films or a camera and write the results to `out` or the next `runs/predict-N`.

    sources        files, folders, glob patterns, lists, `camera:N`, see `toolkit.prediction.sources.find_sources`
    run, weights   a run's folder (its best checkpoint), or a checkpoint or exported model; neither: the newest run
    save           kinds of output, see `toolkit.prediction.kinds`; None: mask, overlay, ids and labelme of pictures,
                   video of films
    options        how pictures are shown to the network
    writing        how predictions are written
    engine, precision, device   see `toolkit.prediction.predictor.load`
    allow_code     import and run the model's own code, if it is one of `py:module:callable`
    beside         write labelme files next to the pictures; files that are there stay, unless `overwrite`
    every, frames  of films and cameras: each N-th frame; at most so many
    shard          `2/8`: the second of eight calls that share the work and one `out`
    resume         go on with what was begun in `out`, or in the newest unfinished `runs/predict-N`
    should_stop    asked before each picture; what is begun is finished then, and Interrupted raised

    A picture that cannot be read is reported and the others go on. Under torchrun the processes share the work.

    Raises DataError if nothing can be predicted, CheckpointError if the model cannot be used, UsageError for wrong
    names, SegError if something cannot be written.
    """
    return carry_out(
        lambda: make_plan(
            sources,
            run=run,
            weights=weights,
            out=out,
            save=save,
            options=options,
            writing=writing,
            engine=engine,
            precision=precision,
            device=device,
            allow_code=allow_code,
            beside=beside,
            overwrite=overwrite,
            every=every,
            frames=frames,
            shard=shard,
            resume=resume,
        ),
        device=device,
        progress=progress,
        should_stop=should_stop,
    )


def carry_out(
    plan: Callable[[], Plan],
    *,
    device: str = "auto",
    progress: Progress = SILENT,
    should_stop: Callable[[], bool] = lambda: False,
) -> PredictReport:
    """Do what was planned; of several processes only the main one plans. See `predict`."""
    if "," in device and not is_one_of_several():
        raise UsageError(f"device: '{device}' needs a process for each. Start it with seg predict or torchrun.")
    group = join_group(device)
    try:
        settled = group.on_main(plan)
        return Team(settled, group, progress if group.is_main else SILENT, should_stop).do()
    finally:
        leave_group(group)
