"""The end of a run: one journal, the tables made of it, the manifest, and the report."""

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import DataError, SegError
from toolkit.findings import Finding
from toolkit.labels.classmap import ClassMap
from toolkit.prediction.folder.journal import MERGED, journals_in, read_lines
from toolkit.prediction.folder.locks import hold, require_no_others
from toolkit.prediction.folder.manifest import write_manifest
from toolkit.prediction.folder.opening import Begun
from toolkit.prediction.folder.outfolder import remove_partial_files_below, take_back
from toolkit.prediction.folder.standing import Summary, all_tried, merge, summary
from toolkit.prediction.plan import Plan
from toolkit.prediction.report import PredictReport
from toolkit.prediction.share import Share
from toolkit.prediction.tables import TABLES
from toolkit.prediction.tables.row import Table, TableRow
from toolkit.progress import Progress


class DamagedLine(DataError):
    """A line of a journal does not hold what its table needs; the text says what has to be done before going on."""


@dataclass(frozen=True)
class Ending:
    """What the main process does when the work of all processes of the call is done."""

    plan: Plan
    share: Share
    begun: Begun
    classes: ClassMap
    progress: Progress

    def finish(self, told: Collection[str], holding: ExitStack) -> PredictReport:
        """Bring everything together; of a shard, only if no other one has anything left to do.

        told      places whose failure was told
        holding   locks of this call, which keep others out until all is written

        Raises DataError if nothing could be predicted, DamagedLine, SegError if something cannot be written.
        """
        plan, root = self.plan, self.begun.root
        if plan.shard is not None and not all_tried(root, plan.sources.labels):
            return self._report(self._counted(self.share.journals(root)), finished=False)
        if self.share.parts > 1 or plan.request.resume or plan.may_skip:
            self._merge(holding)
        counted = self._counted([root / MERGED])
        self._require_something(counted)
        self._tell(counted.failures, told)
        self._assemble_tables()
        report = self._report(counted, finished=True)
        values = {key: value for key, value in report.as_dict().items() if key != "continued"}
        write_manifest(root, {"out": str(root), **self.begun.about, **values})
        self._tidy()
        return report

    def _merge(self, holding: ExitStack) -> None:
        root = self.begun.root
        merge(root, self.plan.sources.labels)
        if self.plan.shard is None:  # what was held was the file before: let go of it when the new one is held
            with holding.pop_all():
                holding.enter_context(hold(root / MERGED))

    def _counted(self, journals: Iterable[Path]) -> Summary:
        return summary((line for path in journals for _, line in read_lines(path)), len(self.classes))

    def _require_something(self, counted: Summary) -> None:
        if counted.images or counted.frames or counted.kept or not counted.failures:
            return
        if self.begun.made:
            take_back(self.begun.root, was_there=self.begun.empty)
        first, sources = str(counted.failures[0]), len(self.plan.sources)
        raise DataError(first if sources == 1 else f"nothing could be read; the first of {sources}: {first}")

    def _tell(self, failures: Iterable[Finding], told: Collection[str]) -> None:
        """Of what no process told: only the main one speaks, and of one source alone nothing is told at once."""
        if len(self.share.call) == 1 and len(self.plan.sources) > 1:
            return
        for failure in failures:
            if failure.place not in told:
                self.progress.warn(str(failure))

    def _assemble_tables(self) -> None:
        root = self.begun.root
        for kind in self.plan.kinds.tables:
            table: Table = TABLES.load(kind)
            try:
                table.assemble(_rows(root / MERGED, kind), self.classes, root, self.plan.request.writing)
            except DataError as error:
                raise DamagedLine(f"{error} Delete its lines in {root}{os.sep}*.jsonl, then use --continue.") from None

    def _tidy(self) -> None:
        root = self.begun.root
        if self.plan.shard is not None:
            with suppress(SegError):  # another shard is at work again
                require_no_others(root, self.share.journals(root))
                remove_partial_files_below(root, in_root=False)  # there, another one may be writing the tables too
            return
        for path in journals_in(root):
            if path.name != MERGED:
                path.unlink(missing_ok=True)

    def _report(self, counted: Summary, *, finished: bool) -> PredictReport:
        plan, begun = self.plan, self.begun
        return PredictReport(
            root=begun.root,
            checkpoint=plan.checkpoint,
            images=counted.images,
            pixels=dict(zip(self.classes.names, counted.pixels, strict=True)),
            failures=counted.failures,
            engine=begun.about["engine"],
            frames=counted.frames,
            kept=counted.kept,
            replaced=counted.replaced,
            renewed=counted.renewed,
            continued=begun.before,
            pictures=plan.sources.root,
            sources=len(plan.sources),
            beside=plan.request.beside,
            finished=finished,
        )


def _rows(path: Path, kind: str) -> Iterator[TableRow]:
    for _, line in read_lines(path):
        if kind in line.tables and line.size is not None:
            yield TableRow(line.name, line.source, line.size, line.frame, line.tables[kind])
