"""What is wrong with a folder of annotations or a dataset, and how to mend it."""

from pathlib import Path

from toolkit.audit.annotations import LabelmeAudit, audit_labelme
from toolkit.audit.contents import dataset_at
from toolkit.audit.dataset import DatasetAudit, audit_dataset
from toolkit.audit.mend_dataset import mend_dataset
from toolkit.audit.mend_labelme import mend_labelme
from toolkit.audit.report import AuditReport
from toolkit.errors import DataError, DatasetError, UsageError
from toolkit.files import new_folder
from toolkit.progress import SILENT, Progress
from toolkit.voc.layout import DEFAULT_ROOT


def check(
    path: Path | str | None = None,
    *,
    labels: Path | str | None = None,
    fix: Path | str | None = None,
    workers: int | None = 0,
    progress: Progress = SILENT,
) -> AuditReport:
    """Look at every file of a dataset in VOC layout, whoever made it, or of a folder annotated with labelme.

    path       None: the default dataset
    labels     a list of labels to hold against the annotations, or in place of the dataset's class_names.txt
    fix        a new or empty folder for a copy in which is mended what can be mended safely; `path` stays as it is
    workers    processes; 0: this one; None: more if they save more than they cost

    Raises DataError if there is nothing to check, UsageError if `fix` is not empty.
    """
    folder = Path(path) if path is not None else DEFAULT_ROOT
    listed = Path(labels) if labels is not None else None
    audit = _audit(folder, listed, workers, progress)
    if fix is None:
        return audit.report
    if audit.report.path.resolve() in Path(fix).resolve().parents:
        raise UsageError(f"{fix}: lies in {audit.report.path}, which is not to be changed. Choose a folder outside.")
    out = new_folder(Path(fix))
    mended = (
        mend_dataset(audit, out, progress) if isinstance(audit, DatasetAudit) else mend_labelme(audit, out, progress)
    )
    report = audit.report
    return AuditReport(report.path, report.kind, report.counts, report.findings, mended)


def _audit(folder: Path, labels: Path | None, workers: int | None, progress: Progress) -> DatasetAudit | LabelmeAudit:
    if not folder.exists():
        if folder == DEFAULT_ROOT:
            raise DatasetError(f"no dataset at {folder}. Name a dataset, or a folder annotated with labelme.")
        raise DataError(f"{folder}: there is no such folder.")
    if not folder.is_dir():
        raise DataError(f"{folder}: is a file. Give a dataset, or a folder in which labelme saved its JSON files.")
    dataset = dataset_at(folder)
    if dataset is not None:
        return audit_dataset(dataset, labels, workers, progress)
    return audit_labelme(folder, labels, workers, progress)
