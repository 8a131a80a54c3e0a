"""A run in one process or several: what each does by itself, and what the main one does for all."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import NoReturn, TypeVar

from toolkit.errors import Interrupted, SegError, StoppedWithOthers
from toolkit.labels.labelme_fields import is_writable
from toolkit.prediction.ending import DamagedLine, Ending
from toolkit.prediction.folder.journal import Journal, Line
from toolkit.prediction.folder.opening import Begun, Opening
from toolkit.prediction.kinds import LABELME
from toolkit.prediction.outputs import Outputs
from toolkit.prediction.plan import Plan
from toolkit.prediction.predictor import Predictor, load
from toolkit.prediction.report import PredictReport
from toolkit.prediction.share import Share
from toolkit.prediction.work import Work
from toolkit.progress import Progress
from toolkit.training.group import Group, own_device

T = TypeVar("T")


class Team:
    """One of the processes of a run: what it does by itself, and what the main one does for all."""

    def __init__(self, plan: Plan, group: Group, progress: Progress, should_stop: Callable[[], bool]) -> None:
        self.plan, self.request, self.group = plan, plan.request, group
        self.progress, self.should_stop = progress, should_stop
        self.share = Share.of(plan.shard, rank=group.rank, world=group.world)
        self.opening = Opening(plan, self.share)

    def do(self) -> PredictReport:
        # what can be refused is refused before the model is loaded, which takes seconds
        self._together(lambda: Outputs(self.plan, Path()))  # a package that a writer lacks
        asked = self._together(self.opening.asked)
        self.group.on_main(lambda: self.opening.require_fit(asked))
        predictor = self._together(self._load)
        about = asked | {"classes": list(predictor.classes.names), "engine": _engine(predictor)}
        with ExitStack() as holding:  # locks, until nothing in the folder is touched any more
            begun = None
            try:
                begun = self.group.on_main(lambda: self.opening.begin(about, holding))
                self._warn_of_names()
                work = self._together(lambda: self._work(predictor, begun, holding))
                report = None
                if not self.group.any(work.stopped):
                    ending = Ending(self.plan, self.share, begun, predictor.classes, self.progress)
                    report = self.group.on_main(lambda: ending.finish(work.told, holding))
            except DamagedLine:  # going on as it is would not help
                raise
            except BaseException:
                if begun is not None and self.group.is_main:
                    self._break_off(begun)
                raise
            if report is None:
                self._stop(begun)
            return report

    def _together(self, work: Callable[[], T]) -> T:
        """Do something in every process; if it fails in one, it ends all. What fails in the main one is said by it alone."""
        failed, outcome = None, None
        try:
            outcome = work()
        except SegError as error:
            failed = error
        code = self.group.share(failed.exit_code if failed else 0)
        if code:
            raise failed if failed is not None and self.group.is_main else StoppedWithOthers(code)
        self.group.agree(failed)
        return outcome  # type: ignore[return-value]

    def _load(self) -> Predictor:
        plan, request = self.plan, self.request
        return load(
            plan.checkpoint,
            engine=request.engine,
            precision=request.precision,
            device=own_device(request.device),
            allow_code=request.allow_code,
            options=request.options,
            progress=self.progress,
        )

    def _warn_of_names(self) -> None:
        """Of pictures that no labelme file can name."""
        if LABELME not in self.plan.kinds.pictures:
            return
        places = (source.place for source in self.plan.sources if not source.has_frames)
        named = os.path.basename if self.request.beside else str
        found = [place for place in places if not is_writable(named(place))]
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            self.progress.warn(
                f"{found[0]}{more}: the name is not UTF-8, and labelme files cannot hold it: seg convert refuses them. "
                "Rename what is called so, then predict it again; the other outputs can be used."
            )

    def _work(self, predictor: Predictor, begun: Begun, holding: ExitStack) -> Work:
        def todo() -> Iterator[int]:
            return (i for i in self.share.indices(len(begun.done)) if not begun.done[i])

        outputs = Outputs(self.plan, begun.root)
        with closing(Journal(self.opening.take_place(begun.root, holding))) as journal:
            work = Work(self.plan, outputs, journal, todo, self.should_stop, self.progress)
            if self.plan.may_skip:
                total = sum(1 for _ in todo())
                for i in self.progress.track(todo(), "Looking for labelme files", total):
                    if self.should_stop():
                        work.stopped = True
                        return work
                    source = self.plan.sources[i]
                    stays = None if source.has_frames else outputs.stays_beside(source)
                    if stays is not None:
                        journal.add(Line(source.label, source.place, kept=(stays,)))
                        begun.done[i] = 1
            work.do(predictor)
        return work

    def _stop(self, begun: Begun) -> NoReturn:
        said = ""
        if self.group.is_main:
            done = self.opening.leave(begun)
            said = "before anything was finished; nothing is left behind." if done is None else self._said(begun, done)
        self.group.fail(Interrupted(f"stopped: {said}"))

    def _break_off(self, begun: Begun) -> None:
        """Something failed, or is to stop at once: say where that is that was finished."""
        with suppress(SegError, OSError):
            # of several processes, the others may not have heard of it yet
            done = self.opening.leave(begun, others_write=self.group.world > 1)
            if done:
                self.progress.say(self._said(begun, done))

    def _said(self, begun: Begun, done: int) -> str:
        return (
            f"{done} of {len(self.plan.sources)} are finished, in {begun.root}. Go on with the same command and "
            "--continue."
        )


def _engine(predictor: Predictor) -> str:
    """What has to be the same for the same masks: the runtime and its precision, not the device."""
    return f"{predictor.engine.name}, {predictor.engine.precision}"
