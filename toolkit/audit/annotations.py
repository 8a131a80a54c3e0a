"""The audit of a folder annotated with labelme: what convert would say, and what it would do without a word."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from toolkit.audit.alike import Look, alike
from toolkit.audit.codes import adopted, found, ordered
from toolkit.audit.picturefile import PictureFacts, picture_facts
from toolkit.audit.report import AuditReport
from toolkit.audit.shapes import check_shapes, outline_key
from toolkit.audit.spelling import suspicions, variants
from toolkit.conversion.labelling import settle_labels
from toolkit.conversion.locate import Annotated
from toolkit.conversion.options import DrawOptions, LabelOptions
from toolkit.conversion.render import Job, Plan, render
from toolkit.conversion.scan import UNTICK, Scan, scan
from toolkit.errors import DataError
from toolkit.findings import Finding
from toolkit.labels.annotation import Annotation
from toolkit.labels.classmap import BACKGROUND_LABEL, IGNORE_LABEL
from toolkit.labels.labellist import read_label_list
from toolkit.labels.labelme import read_labelme
from toolkit.labels.labelme_fields import PREDICTED
from toolkit.parallel import Crew, shown
from toolkit.progress import Progress
from toolkit.voc.folder import VocFolder
from toolkit.voc.layout import DEFAULT_ROOT

_SAID_BETTER = ("outside-shape", "empty-shape")  # by check_shapes
_OF_A_HAND = ("shape-tiny", "self-crossing", "hidden-shape", "no-shapes")
"""What is probably a slip if somebody drew it, and how models draw."""


@dataclass(frozen=True)
class _Looked:
    """What was found in one annotation, and its picture if it can be compared with others."""

    findings: tuple[Finding, ...]
    look: Look | None = None
    shapes: int = 0


@dataclass(frozen=True)
class LabelmeAudit:
    """All that was learned about a labelme folder: what `check` reports and what `fix` works from."""

    source: Path
    scan: Scan
    report: AuditReport


def audit_labelme(source: Path, labels: Path | None, workers: int | None, progress: Progress) -> LabelmeAudit:
    """Look at every annotation and its picture. Raises DataError if there is none, or `labels` cannot be read."""
    with Crew(workers) as crew:
        seen = scan(source, VocFolder(DEFAULT_ROOT), progress, crew=crew)
        labelling = settle_labels(
            seen.labels, seen.first_seen, source, labels=None, options=LabelOptions(), existing=None
        )
        plan = Plan(source, str(source), None, labelling, DrawOptions())
        jobs = [Job(plan, item, item.path.stem) for item in seen.annotated]
        looked = list(shown(progress, crew.map(_look, jobs), "Checking annotations", len(jobs)))
    findings = [
        *(adopted(failure, "annotation-unreadable", level="error") for failure in seen.failures),
        *(adopted(finding, "annotation-odd") for finding in seen.findings),
        *(finding for one in looked for finding in one.findings),
        *_about_labels(seen, labels),
        *_about_files(seen),
        *alike([one.look for one in looked if one.look is not None]),
    ]
    counts = {
        "annotations": len(seen.annotated) + len(seen.failures),
        "shapes": sum(one.shapes for one in looked),
        "labels": len(seen.labels),
    }
    return LabelmeAudit(source, seen, AuditReport(source, "labelme", counts, ordered(findings)))


def _look(job: Job) -> _Looked:
    """Convert in thought, then look at what convert takes as it is."""
    outcome = render(job)
    if outcome.failure is not None or outcome.record is None or isinstance(job.item, Path):
        failure = outcome.failure
        return _Looked((adopted(failure, "annotation-unreadable", level="error"),) if failure is not None else ())
    try:
        annotation = read_labelme(job.path)
    except DataError:  # it was there a moment ago
        annotation = None
    if annotation is None:
        return _Looked(())
    findings = [adopted(f, "annotation-odd") for f in _not_said_better(outcome.record.findings, annotation)]
    facts = _picture(annotation, job.item)
    if facts is not None and facts.problem:  # complete by its structure, so convert copies it
        findings.append(found("image-unreadable", facts.path, facts.problem))
    size = facts.upright if facts is not None and not facts.problem else annotation.size
    findings += check_shapes([(f"{job.path}: shapes[{shape.number}]", shape) for shape in annotation.shapes], size)
    if not annotation.shapes:
        findings.append(found("no-shapes", job.path, "has no shape.", "Delete it if the picture was only passed over."))
    if annotation.predicted:  # nobody has drawn here, and that is said of the file
        findings = [finding for finding in findings if finding.code not in _OF_A_HAND]
    if facts is None or facts.likeness is None:
        return _Looked(tuple(findings), shapes=len(annotation.shapes))
    findings += _frame(annotation, facts)
    look = Look(job.path.name, job.path, facts.digest, facts.likeness)
    return _Looked(tuple(findings), look, len(annotation.shapes))


def _not_said_better(findings: Iterable[Finding], annotation: Annotation) -> list[Finding]:
    """Without what check_shapes says: of a shape that is hidden by its own double, that it was drawn twice."""
    outlines = Counter(outline_key(shape) for shape in annotation.shapes)
    double = {f"{annotation.path}: shapes[{s.number}]" for s in annotation.shapes if outlines[outline_key(s)] > 1}
    return [f for f in findings if f.code not in _SAID_BETTER and not (f.code == "hidden-shape" and f.place in double)]


def _picture(annotation: Annotation, item: Annotated) -> PictureFacts | None:
    if isinstance(annotation.image, bytes):
        return picture_facts(annotation.path, annotation.image)
    return picture_facts(item.picture) if item.picture is not None else None


def _frame(annotation: Annotation, facts: PictureFacts) -> Iterable[Finding]:
    """A picture with an orientation, where the recorded size does not tell in which frame the shapes lie."""
    if facts.orientation == 1 or (annotation.size is not None and facts.stored != facts.upright):
        return
    embedded = isinstance(annotation.image, bytes)
    text = f"has EXIF orientation {facts.orientation}, and the recorded size fits it turned or not."
    way_out = f"Look at it after converting; seg takes it {'as stored' if embedded else 'turned'}, as labelme shows it."
    yield found("exif", facts.path, text, way_out)


def _about_labels(seen: Scan, labels: Path | None) -> list[Finding]:
    uses = {label: (count, str(seen.first_seen[label])) for label, count in sorted(seen.labels.items())}
    place = labels if labels is not None else next(iter(seen.first_seen.values())).parent if uses else Path()
    findings = [*variants(uses, place), *suspicions(uses, place)]
    if labels is None:
        return findings
    listed = read_label_list(labels)
    known = {*listed.classes.names, *listed.aliases, IGNORE_LABEL}
    for label, (count, first) in uses.items():
        if label not in known:
            text = f"'{label}' ({count} shape{'s' if count > 1 else ''}, first in {first}) is not listed."
            findings.append(found("label-unlisted", labels, text, listed.classes.closest(label).strip()))
    used = {listed.aliases.get(label, label) for label in uses}
    for name in listed.classes.names:
        if name not in used and name != BACKGROUND_LABEL:
            findings.append(
                found("class-absent", labels, f"'{name}' is on no shape.", "Take it out, or annotate some.")
            )
    return findings


def _about_files(seen: Scan) -> list[Finding]:
    findings = [found("not-labelme", path, "is JSON, but not labelme's.") for path in seen.not_labelme]
    way_out = "seg convert --unlabelled background takes such pictures in with an empty mask."
    findings += [found("image-without-annotation", path, "has no annotation.", way_out) for path in seen.unlabelled]
    way_out = f"seg annotate LABELME_DIR opens them. {UNTICK}; or leave them out: seg convert --only-reviewed."
    findings += [found("unreviewed", path, f"still has the flag '{PREDICTED}'.", way_out) for path in seen.unreviewed]
    return findings
