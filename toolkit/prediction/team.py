"""A run in one process or several: what each does by itself, and what the main one does for all."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from toolkit.errors import DataError, Interrupted, SegError, StoppedWithOthers, UsageError
from toolkit.files import held, new_folder, numbered_folder
from toolkit.labels.labelme_fields import is_writable
from toolkit.prediction.folder.beginning import options_of
from toolkit.prediction.folder.fingerprint import checksum_of
from toolkit.prediction.folder.journal import MERGED, Journal, Line, journal_name, journals_in, read_lines
from toolkit.prediction.folder.manifest import read_manifest, require_same, write_manifest
from toolkit.prediction.folder.outfolder import (
    remove_old_partial_files,
    remove_partial_files,
    share_folder,
    take_back,
)
from toolkit.prediction.folder.standing import Standing, Summary, gather, merge, standing, summary
from toolkit.prediction.outputs import LABELME, Outputs, as_written
from toolkit.prediction.plan import Plan, Shard
from toolkit.prediction.predictor import Predictor, load
from toolkit.prediction.report import PredictReport
from toolkit.prediction.tables.row import TableRow
from toolkit.prediction.work import Work
from toolkit.progress import Progress
from toolkit.runs.folder import RUNS
from toolkit.training.group import Group, own_device

T = TypeVar("T")
_ATTEMPTS, _PAUSE = 6, 0.02  # the pause, in seconds, grows with each attempt


@dataclass(frozen=True)
class _Begun:
    """A folder in which a run goes on or begins. made: by this call; before: how many sources were done."""

    root: Path
    done: bytearray
    made: bool

    @property
    def before(self) -> int:
        return sum(self.done)


class Team:
    """One of the processes of a run: what it does by itself, and what the main one does for all."""

    def __init__(self, plan: Plan, group: Group, progress: Progress, should_stop: Callable[[], bool]) -> None:
        self.plan, self.request, self.group = plan, plan.request, group
        self.progress, self.should_stop = progress, should_stop
        number, of = (plan.shard.number - 1, plan.shard.of) if plan.shard else (0, 1)
        self.part, self.parts = number * group.world + group.rank, of * group.world

    def do(self) -> PredictReport:
        # what can be refused is refused before the model is loaded, which takes seconds
        self._together(lambda: Outputs(self.plan, Path()))  # a package that a writer lacks
        asked = self._together(self._asked)
        self.group.on_main(lambda: self._require_fit(asked))
        predictor = self._together(self._load)
        about = asked | {"classes": list(predictor.classes.names), "engine": _engine(predictor)}
        begun = None
        try:
            with contextlib.ExitStack() as holding:  # locks, from the beginning of the work to its end
                begun = self.group.on_main(lambda: self._begin(about, holding))
                self._warn_of_names()
                outputs = Outputs(self.plan, begun.root)
                work = self._together(lambda: self._work(predictor, outputs, begun, holding))
            report = None
            if not self.group.any(work.stopped):
                report = self.group.on_main(lambda: self._finish(about, begun, predictor, outputs, work))
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

    def _asked(self) -> dict[str, Any]:
        """What the manifest says of the call before the model is loaded; the same for every process and shard."""
        plan = self.plan
        return {
            "sources": list(plan.sources.given),
            "root": plan.sources.root,
            "checkpoint": str(plan.checkpoint),
            "checksum": checksum_of(plan.checkpoint),
            "options": options_of(self.request),
            "save": {key: list(value) for key, value in asdict(plan.kinds).items() if value},
        }

    def _require_fit(self, asked: dict[str, Any]) -> None:
        """Refuse what does not go together with a run that was begun in the folder."""
        plan = self.plan
        if plan.out is None or not (self.request.resume or plan.shard is not None):
            return
        if plan.shard is None:
            require_same(plan.out, asked)
        elif read_manifest(plan.out) is not None:
            share_folder(plan.out, resume=self.request.resume)
            self._require_own(plan.out, plan.shard, asked)

    def _require_own(self, root: Path, shard: Shard, about: dict[str, Any]) -> None:
        """Refuse a shard that is not of the same work, or was begun."""
        require_same(root, about | {"shards": self._shards})
        own = [root / journal_name(self.part + rank, self.parts) for rank in range(self.group.world)]
        if not self.request.resume and any(path.exists() for path in own):
            raise UsageError(
                f"{root}: shard {shard.number}/{shard.of} was begun there already. Go on with it: --continue, or choose "
                "another --out."
            )

    @property
    def _shards(self) -> dict[str, Any]:
        sources = self.plan.sources
        return {"of": self.parts, "sources": len(sources), "checksum": sources.checksum}

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

    def _begin(self, about: dict[str, Any], holding: contextlib.ExitStack) -> _Begun:
        plan, request, names = self.plan, self.request, self.plan.sources.labels
        done = bytearray(len(names))
        if plan.shard is not None and plan.out is not None:
            root = plan.out
            share_folder(root, resume=request.resume)
            if read_manifest(root) is None:
                write_manifest(root, {"out": str(root), **about, "shards": self._shards, "finished": False})
            self._require_own(root, plan.shard, about)
            return _Begun(root, standing(root, names).done if request.resume else done, made=False)
        if request.resume and plan.out is not None:
            root = plan.out
            require_same(root, about)
            with held(root / MERGED, _busy(root)):
                _require_no_others(root)
                remove_partial_files(root)
                if request.beside:
                    remove_old_partial_files({os.path.dirname(source.place) for source in plan.sources})  # noqa: PTH120
            gather(root, names, _busy(root))  # not while its file is held: Windows replaces none that is open
            holding.enter_context(held(root / MERGED, _busy(root)))
            _require_no_others(root)
            done = standing(root, names).done
            # who the work was divided between is needed until it is done: the shards are not to be taken for strangers
            divided = {key: value for key, value in (read_manifest(root) or {}).items() if key == "shards"}
            write_manifest(root, {"out": str(root), **about, **divided, "finished": False})
            return _Begun(root, done, made=False)
        root = new_folder(plan.out) if plan.out is not None else numbered_folder(RUNS, "predict")
        try:
            holding.enter_context(held(root / MERGED, _busy(root)))
            write_manifest(root, {"out": str(root), **about, "finished": False})
        except SegError:
            holding.close()
            take_back(root)
            raise
        return _Begun(root, done, made=True)

    def _work(self, predictor: Predictor, outputs: Outputs, begun: _Begun, holding: contextlib.ExitStack) -> Work:
        names, done = self.plan.sources.labels, begun.done
        own = begun.root / journal_name(self.part, self.parts)

        def todo() -> Iterator[int]:
            return (i for i in range(self.part, len(names), self.parts) if not done[i])

        if own.name != MERGED or self.plan.shard is not None:  # else it is held from the beginning
            holding.enter_context(held(own, _busy(begun.root)))
        if self.plan.shard is not None and own.name != MERGED:
            _require_no_single_call(begun.root)
        with contextlib.closing(Journal(own)) as journal:
            if self._may_skip:
                for i in todo():
                    source = self.plan.sources[i]
                    path = outputs.place_beside(source)
                    if not source.has_frames and os.path.lexists(path):
                        journal.add(Line(source.label, source.place, kept=(as_written(path),)))
                        done[i] = 1
            work = Work(self.plan, outputs, journal, todo, self.should_stop, self.progress)
            work.do(predictor)
        return work

    @property
    def _may_skip(self) -> bool:
        """Whether a picture that has its labelme file already need not be predicted."""
        request = self.request
        alone = self.plan.kinds.all == (LABELME,)
        return alone and request.beside and not request.overwrite and not request.resume

    def _stop(self, begun: _Begun) -> NoReturn:
        said = ""
        if self.group.is_main:
            said = "before anything was finished; nothing is left behind."
            if not self._taken_back(begun):
                said = self._said(begun, sum(standing(begun.root, self.plan.sources.labels).done))
        self.group.fail(Interrupted(f"stopped: {said}"))

    def _break_off(self, begun: _Begun) -> None:
        """Something failed, or is to stop at once: say where that is that was finished."""
        with contextlib.suppress(SegError, OSError):
            done = 0 if self._taken_back(begun) else sum(standing(begun.root, self.plan.sources.labels).done)
            if done:
                self.progress.say(self._said(begun, done))

    def _said(self, begun: _Begun, done: int) -> str:
        return (
            f"{done} of {len(self.plan.sources)} are finished, in {begun.root}. Go on with the same command and "
            "--continue."
        )

    def _taken_back(self, begun: _Begun) -> bool:
        """Take the folder back if this call made it and nothing was finished; whether that is so."""
        lines = (line for path in journals_in(begun.root) for _, line in read_lines(path))
        if not begun.made or any(line.failure is None for line in lines):
            return False
        take_back(begun.root, self.plan.kinds.all)
        return True

    def _finish(
        self, about: dict[str, Any], begun: _Begun, predictor: Predictor, outputs: Outputs, work: Work
    ) -> PredictReport:
        root, names, classes = begun.root, self.plan.sources.labels, predictor.classes
        now = standing(root, names) if self.plan.shard else Standing(bytearray(), bytearray())
        if self.plan.shard and not now.is_complete:
            own = (root / journal_name(self.part + rank, self.parts) for rank in range(self.group.world))
            counted = summary((line for path in own for _, line in read_lines(path)), len(classes))
            return self._report(counted, begun, predictor, finished=False)
        if self.parts > 1 or self.request.resume or self._may_skip:
            merge(root, names)
        counted = summary((line for _, line in read_lines(root / MERGED)), len(classes))
        if not (counted.images or counted.frames or counted.kept) and counted.failures:
            if begun.made:
                take_back(root)
            first = str(counted.failures[0])
            raise DataError(first if len(names) == 1 else f"nothing could be read; the first of {len(names)}: {first}")
        for failure in counted.failures:
            if failure.place not in work.told and (self.group.world > 1 or len(names) == 1):
                self.progress.warn(str(failure))
        for kind, table in outputs.tables.items():
            try:
                table.assemble(_rows(root / MERGED, kind), classes, root, self.request.writing)
            except DataError as error:
                raise DataError(f"{error} Delete its lines in {root}{os.sep}*.jsonl, then use --continue.") from None
        report = self._report(counted, begun, predictor, finished=True)
        values = {key: value for key, value in report.as_dict().items() if key != "continued"}
        write_manifest(root, {"out": str(root), **about, **values})
        if self.plan.shard:
            with contextlib.suppress(SegError):  # another shard is at work again
                _require_no_others(root)
                remove_partial_files(root, in_root=False)  # there, another one may be writing the tables too
        else:
            for path in journals_in(root):
                if path.name != MERGED:
                    path.unlink(missing_ok=True)
        return report

    def _report(self, counted: Summary, begun: _Begun, predictor: Predictor, *, finished: bool) -> PredictReport:
        return PredictReport(
            root=begun.root,
            checkpoint=self.plan.checkpoint,
            images=counted.images,
            pixels=dict(zip(predictor.classes.names, counted.pixels, strict=True)),
            failures=counted.failures,
            engine=_engine(predictor),
            frames=counted.frames,
            kept=counted.kept,
            replaced=counted.replaced,
            continued=begun.before,
            pictures=self.plan.sources.root,
            sources=len(self.plan.sources),
            beside=self.request.beside,
            finished=finished,
        )


def _rows(path: Path, kind: str) -> Iterator[TableRow]:
    for _, line in read_lines(path):
        if kind in line.tables and line.size is not None:
            yield TableRow(line.name, line.source, line.size, line.frame, line.tables[kind])


def _engine(predictor: Predictor) -> str:
    """What has to be the same for the same masks: the runtime and its precision, not the device."""
    return f"{predictor.engine.name}, {predictor.engine.precision}"


def _require_no_others(root: Path) -> None:
    """Raise SegError if one of several processes is at work."""
    for path in journals_in(root)[1:]:
        with held(path, _busy(root)):
            pass


def _require_no_single_call(root: Path) -> None:
    """Raise SegError if one call is at work on all of it. Shards ask this one after the other, each for a moment."""
    path = root / MERGED
    for attempt in range(_ATTEMPTS):
        try:
            if path.exists():
                with held(path, _busy(root)):
                    return
            return
        except SegError:
            if attempt + 1 == _ATTEMPTS:
                raise
            time.sleep(_PAUSE * (attempt + 1))


def _busy(root: Path) -> str:
    return f"{root}: another process is predicting into this folder. Wait for it or stop it."
