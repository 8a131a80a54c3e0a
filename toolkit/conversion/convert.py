"""labelme folder -> VOC dataset.

Two passes over the annotations: the first collects the labels, so that every file gets the same class ids and an
unknown label is reported before anything is written; the second writes, one image at a time. One bad file never
stops the others.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.conversion.cluster import dask_executor
from toolkit.conversion.labelling import settle_labels
from toolkit.conversion.lost import lost_by_replacing
from toolkit.conversion.options import UNLABELLED, DrawOptions, LabelOptions
from toolkit.conversion.records import Journal, Memory, Record, finish_records, is_gone, recall
from toolkit.conversion.render import Job, Plan, render
from toolkit.conversion.replace import alone, replacing, set_aside
from toolkit.conversion.report import ConvertReport, Totals
from toolkit.conversion.scan import NAME_TAKEN, UNTICK, Scan, in_two_places, nothing_converted, require_source, scan
from toolkit.conversion.stems import output_stems
from toolkit.errors import DataError, UsageError, unknown_name
from toolkit.files import make_folder, write_text
from toolkit.findings import Finding
from toolkit.labels.labelme_fields import PREDICTED
from toolkit.parallel import Crew, shown
from toolkit.progress import SILENT, Progress
from toolkit.voc.folder import VocFolder
from toolkit.voc.layout import DEFAULT_ROOT


def convert(
    labelme_dir: Path | str,
    out: Path | str | None = None,
    *,
    labels: Path | str | None = None,
    label_options: LabelOptions | None = None,
    images: Path | str | None = None,
    unlabelled: str = "skip",
    only_reviewed: bool = False,
    overwrite: bool = False,
    update: bool = False,
    strict: bool = False,
    workers: int | None = 0,
    dask: str | None = None,
    progress: Progress = SILENT,
    **draw_options: Any,
) -> ConvertReport:
    """Convert a folder of labelme annotations, subfolders included, into a VOC dataset.

    labels         a list in labelme's convention, or YAML; without it the classes are derived: background, then the
                   labels sorted by code point (with `update`: the dataset's classes first, new labels after them)
    label_options  renaming, leaving out, unknown labels: see LabelOptions
    images         a folder in which pictures are looked for first
    unlabelled     of pictures without an annotation: "skip", or "background": they go in with an empty mask
    only_reviewed  leave out annotations that still have the flag `predicted`: a model drew them, nobody has looked
    overwrite      replace what is in a dataset that is not empty
    update         add to it, and do again what has changed
    strict         stop at the first file that cannot be converted
    workers        processes; 0: this one; None: more if they save more than they cost
    dask           address of a Dask scheduler, whose workers do the work instead
    draw_options   image_format, order, line_width, ...: the fields of DrawOptions

    Equal input gives equal bytes, whatever the order of files and the number of workers.
    Raises DataError if there is nothing to convert or a label is not in the list, UsageError for options that do not
    exist or contradict each other, and if the dataset is not empty and neither `overwrite` nor `update` was asked for,
    SegError if another conversion is writing the dataset, or nothing can be written there.
    """
    source = Path(labelme_dir)
    dataset = VocFolder(Path(out) if out is not None else DEFAULT_ROOT)
    options = DrawOptions(**draw_options)
    images_dir = Path(images) if images is not None else None
    require_source(source)  # before anything is said of the dataset: the way out of that would not help
    _refuse(images_dir, unlabelled, overwrite=overwrite, update=update)
    may_stand = overwrite or update
    _require_empty(dataset, unless=may_stand)
    with ExitStack() as stack:
        stack.enter_context(alone(dataset))  # before anything of it is read: another conversion would change that
        _require_empty(dataset, unless=may_stand)
        crew = stack.enter_context(Crew(workers, stack.enter_context(dask_executor(dask)) if dask else None))
        memory = recall(dataset).seen_from(source) if update else Memory()
        found = scan(
            *(source, dataset, progress),
            images=images_dir,
            encoding=options.encoding,
            only_reviewed=only_reviewed,
            elsewhere=memory.elsewhere,
            crew=crew,
        )
        if unlabelled == "background":
            _leave_out(found, memory, source)
        if strict and found.failures:
            raise DataError(str(found.failures[0]))
        labelling = settle_labels(
            found.labels,
            found.first_seen,
            source,
            labels=Path(labels) if labels is not None else None,
            options=label_options or LabelOptions(),
            existing=dataset if update else None,
        )
        plan = Plan(source, str(source.resolve()), dataset, labelling, options, renewing=update)
        jobs = _jobs(plan, found, memory, unlabelled)
        lost = lost_by_replacing(dataset, set_aside(dataset)) if overwrite else []
        with replacing(dataset, aside=overwrite):
            report = _write_all(plan, jobs, found, crew, progress, strict=strict, skipped=unlabelled == "skip")
        return replace(report, remarks=(*lost, *report.remarks))  # not in report.json, which is of the new dataset


def _refuse(images: Path | None, unlabelled: str, *, overwrite: bool, update: bool) -> None:
    if unlabelled not in UNLABELLED:
        raise unknown_name("policy for unlabelled pictures", unlabelled, UNLABELLED)
    if images is not None and not images.is_dir():
        raise DataError(f"{images}: there is no such folder. Give the one that holds the pictures.")
    if overwrite and update:
        raise UsageError("overwrite and update contradict each other. Choose one.")


def _require_empty(dataset: VocFolder, *, unless: bool) -> None:
    if not (unless or dataset.is_empty()):
        raise UsageError(
            f"{dataset.root}: there is a dataset already. Use --update to add to it, --overwrite to replace it, "
            "or --out for another folder."
        )


def _leave_out(found: Scan, memory: Memory, source: Path) -> None:
    """Pictures without an annotation that the dataset has from another folder; `scan` has seen to annotations."""
    others = {path: memory.elsewhere.get(path.relative_to(source).as_posix()) for path in found.unlabelled}
    found.failures += [in_two_places(path, other) for path, other in others.items() if other is not None]
    found.unlabelled = [path for path, other in others.items() if other is None]


def _jobs(plan: Plan, found: Scan, memory: Memory, unlabelled: str) -> list[Job]:
    """Every image to be written, sorted by stem."""
    items = [*found.annotated, *(found.unlabelled if unlabelled == "background" else ())]
    paths = {item if isinstance(item, Path) else item.path: item for item in items}
    names = {path: path.relative_to(plan.source).as_posix() for path in paths}
    mine = {name: stem for (folder, name), stem in memory.stems.items() if folder == plan.folder}
    others = {stem for (folder, _), stem in memory.stems.items() if folder != plan.folder}
    if plan.renewing and plan.dataset is not None and plan.dataset.exists():  # what others put there is not overwritten
        others |= (plan.dataset.mask_stems() | plan.dataset.image_stems()) - set(mine.values())
    stems = output_stems(list(paths), plan.source, mine, others)
    jobs = [
        Job(
            *(plan, item, stems[path], memory.digests.get((plan.folder, names[path]), "")),
            memory.followed.get(names[path]),
        )
        for path, item in paths.items()
    ]
    return sorted(jobs, key=lambda job: job.stem)


def _write_all(
    plan: Plan, jobs: Sequence[Job], found: Scan, crew: Crew, progress: Progress, *, strict: bool, skipped: bool
) -> ConvertReport:
    dataset = plan.dataset
    assert dataset is not None
    failures = list(found.failures)
    unchanged = written = 0
    stems = {job.source: job.stem for job in jobs}
    _make_room(dataset)
    with Journal(dataset, plan.folder, stems) as journal:
        plan.labelling.classes.write(dataset.names_file)
        outcomes = crew.map(render, jobs)
        for job, outcome in zip(jobs, shown(progress, outcomes, "Writing images and masks", len(jobs)), strict=True):
            if outcome.failure is not None:
                failures.append(outcome.failure)
                if outcome.failure.code == NAME_TAKEN:  # what the dataset has under that name is not of this folder
                    del stems[job.source]
                if strict:
                    raise DataError(str(outcome.failure))
            elif outcome.record is not None:
                journal.add(outcome.record, outcome.mask)
                written += 1
                if job.follows is not None:
                    text = f"takes the place of {job.follows}, which is gone."
                    found.findings.append(Finding(str(job.path), text, code="took-place"))
            else:
                unchanged += 1
    if not written + unchanged:
        raise nothing_converted(failures)
    report = _report(plan, set(stems), found, failures, unchanged=unchanged, skipped=skipped)
    write_text(dataset.report_file, json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n")
    dataset.unfinished.unlink()
    return report


def _make_room(dataset: VocFolder) -> None:
    """Folders to write into, without what a killed conversion was just writing."""
    for folder in (dataset.images, dataset.masks):
        make_folder(folder)
    for folder in (dataset.root, dataset.images, dataset.masks, dataset.objects):
        for path in folder.glob(".*.partial"):
            path.unlink(missing_ok=True)


def _report(
    plan: Plan, coming: set[str], found: Scan, failures: list[Finding], *, unchanged: int, skipped: bool
) -> ConvertReport:
    assert plan.dataset is not None
    totals, gone, stale, ours = Totals(), 0, 0, {plan.folder: True}

    def count(record: Record) -> None:
        nonlocal gone, stale
        if not ours.setdefault(record.folder, is_gone(Path(record.folder))):  # not there: it was moved to here
            return
        if record.source in coming:
            totals.add(record)
        elif record.source in found.left_out:
            stale += 1
        else:
            gone += 1

    finish_records(plan.dataset, count)
    classes = plan.labelling.classes
    return ConvertReport(
        source=plan.source,
        root=plan.dataset.root,
        classes=classes.names,
        images=totals.images,
        shapes=dict(sorted(totals.shapes.items())),
        pixels=totals.pixels_by_name(classes),
        unchanged=unchanged,
        without_shapes=totals.without_shapes,
        unlabelled=len(found.unlabelled) if skipped else 0,
        gone=gone,
        unreviewed=len(found.unreviewed),
        left_out=len(found.left_out),
        not_labelme=tuple(found.not_labelme),
        remarks=(*_unreviewed(plan.source, found, stale), *found.findings, *plan.labelling.findings, *totals.remarks),
        failures=tuple(failures),
    )


def _unreviewed(source: Path, found: Scan, stale: int) -> list[Finding]:
    """Predictions that are in the dataset although nobody has looked at them: one remark, however many.

    stale   those that were left out now, but are in the dataset from before
    """
    findings = []
    if new := len(found.unreviewed):
        have = "has" if new == 1 else "have"
        flagged = f"{new} of {len(found.annotated)} annotations still {have} the flag '{PREDICTED}'"
        text = f"{flagged}: nobody has looked at them."
        findings.append(Finding(str(source), text, f"{UNTICK}, or leave them out: --only-reviewed.", "unreviewed"))
    if stale:
        text = f"{stale} of the annotations that nobody has looked at are in the dataset from before, and stay."
        findings.append(Finding(str(source), text, "To drop them: --overwrite instead of --update.", "unreviewed-kept"))
    return findings
