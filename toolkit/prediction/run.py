"""Many pictures -> files."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.prediction.options import PredictOptions
from toolkit.prediction.plan import Plan, make_plan
from toolkit.prediction.report import PredictReport
from toolkit.prediction.request import PredictRequest
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
    renew: bool = False,
    overwrite: bool = False,
    every: int = 1,
    frames: int | None = None,
    shard: str | None = None,
    resume: bool = False,
    progress: Progress = SILENT,
    should_stop: Callable[[], bool] = lambda: False,
) -> PredictReport:
    """Predict pictures, films or a camera and write the results to `out` or the next `runs/predict-N`.

    The words are those of `toolkit.prediction.request.PredictRequest`, which says what each means; and:

    progress      told what is done
    should_stop   asked before each picture; what is begun is finished then, and Interrupted raised

    A picture that cannot be read is reported and the others go on. Under torchrun the processes share the work.

    Raises DataError if nothing can be predicted, CheckpointError if the model cannot be used, UsageError for wrong
    names, SegError if something cannot be written.
    """
    request = PredictRequest(
        sources=tuple(os.fspath(each) for each in ([sources] if isinstance(sources, str | Path) else sources)),
        run=run,
        weights=weights,
        out=out,
        save=save,
        options=options or PredictOptions(),
        writing=writing or WriteOptions(),
        engine=engine,
        precision=precision,
        device=device,
        allow_code=allow_code,
        beside=beside,
        renew=renew,
        overwrite=overwrite,
        every=every,
        frames=frames,
        shard=shard,
        resume=resume,
    )
    return carry_out(request, progress=progress, should_stop=should_stop)


def carry_out(
    request: PredictRequest,
    plan: Plan | None = None,
    *,
    progress: Progress = SILENT,
    should_stop: Callable[[], bool] = lambda: False,
) -> PredictReport:
    """Do what was asked for. See `predict`.

    plan   of this request, if it was made already; of several processes only the main one plans, and what it planned
           is done in all
    """
    if "," in request.device and not is_one_of_several():
        raise UsageError(f"device: '{request.device}' needs a process for each. Start it with seg predict or torchrun.")
    group = join_group(request.device)
    try:
        settled = group.on_main(lambda: make_plan(request) if plan is None else plan)
        return Team(settled, group, progress if group.is_main else SILENT, should_stop).do()
    finally:
        leave_group(group)
