"""Which stem of a dataset came from which annotation: `sources.csv`, and the folder, which `report.json` names."""

import csv
import io
import json
from pathlib import Path

from toolkit.errors import DataError
from toolkit.files import write_text
from toolkit.voc.folder import VocFolder


def read_sources(dataset: VocFolder) -> dict[str, str]:
    """Stem by annotation, relative to the folder that was converted; empty if nothing is recorded.

    Raises DataError if the record is damaged.
    """
    try:
        with dataset.sources_file.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{dataset.sources_file}: cannot be read ({error}). Use --overwrite to convert anew.") from None
    return {row["source"]: row["stem"] for row in rows if row.get("source") and row.get("stem")}


def write_sources(dataset: VocFolder, stems: dict[str, str]) -> None:
    """Write `sources.csv`, sorted by stem, for the stems that have a mask."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("stem", "source"))
    rows = ((stem, source) for source, stem in stems.items() if dataset.mask(stem).exists())
    writer.writerows(sorted(rows))
    write_text(dataset.sources_file, buffer.getvalue())


def refuse_strangers(dataset: VocFolder, source: Path, recorded: dict[str, str], coming: set[str]) -> None:
    """Raise DataError if annotations of another folder would replace what came from the one converted before.

    coming   annotations, relative to `source`, that are about to be converted
    """
    try:
        before = json.loads(dataset.report_file.read_text(encoding="utf-8"))["source"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    both = sorted(coming & recorded.keys())
    if both and Path(before) != source.resolve():
        raise DataError(
            f"{source}: {both[0]} would replace the one of that name from {before}. Convert a folder that holds both, "
            "with --overwrite."
        )
