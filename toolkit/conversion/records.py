"""What was converted from what: `records.jsonl`, one line an image sorted by stem, and `sources.csv` for people.

While a conversion is at work its lines go to `.unfinished`, so that one that was killed can be finished; the first
line there names the folder and the stems that were about to be written; each of the others is a record and the
fingerprint of the mask, which `mask_counts.jsonl` gets and the record, equal for equal input, does not. Files are
merged line by line: memory does not grow with what a record holds.
"""

import csv
import functools
import heapq
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from toolkit.errors import DataError, SegError
from toolkit.files import write_text, writing
from toolkit.findings import Finding
from toolkit.voc.folder import VocFolder
from toolkit.voc.saved_counts import CountedMask, Fingerprint, save_counts

Key = tuple[str, str]
"""(folder, source) of a record."""


@dataclass(frozen=True)
class Record:
    """One image of a dataset.

    stem       its name in the dataset
    folder     the folder that was converted, absolute
    source     the annotation, or the picture that has none, relative to it
    digest     sha256 of all that decided the bytes: annotation, picture, class ids, options
    shapes     how many shapes were drawn, by label
    pixels     pixels by class id, 255 included; those that occur
    findings   what was left out or looked odd
    """

    stem: str
    folder: str
    source: str
    digest: str
    shapes: dict[str, int]
    pixels: dict[int, int]
    findings: tuple[Finding, ...] = ()

    @property
    def key(self) -> Key:
        return self.folder, self.source

    def as_line(self) -> bytes:
        try:
            return msgspec.json.encode(self) + b"\n"
        except UnicodeEncodeError:  # a file name that is no text
            return json.dumps(asdict(self)).encode() + b"\n"


@dataclass(frozen=True)
class _Written(Record):
    """A line of the journal."""

    mask: Fingerprint | None = None


_RECORD = msgspec.json.Decoder(Record)
_WRITTEN = msgspec.json.Decoder(_Written)


def _record(line: bytes) -> Record:
    """Raises MsgspecError, ValueError or TypeError if the line is damaged."""
    try:
        return _RECORD.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.convert(json.loads(line), Record, strict=False)


@dataclass
class Memory:
    """What a dataset remembers of earlier conversions.

    stems      by (folder, source), also of images that an interrupted conversion was about to write, but for those that
               are recorded from another folder
    digests    by (folder, source), of images that were written

    Seen from a folder, by the sources that it may have, too:

    elsewhere  the file of another folder that the dataset has, and that is still there
    followed   the file of another folder that the dataset has, and that is gone
    """

    stems: dict[Key, str] = field(default_factory=dict)
    digests: dict[Key, str] = field(default_factory=dict)
    elsewhere: dict[str, Path] = field(default_factory=dict)
    followed: dict[str, Path] = field(default_factory=dict)

    def seen_from(self, folder: Path) -> "Memory":
        """What came from a folder that is gone counts as from `folder`: it was moved.

        So does a file that is gone, if `folder` holds one of its name; that one is written anew, whatever shapes it
        holds, if it is of the same picture: `render` sees to that.
        """
        here, seen = str(folder.resolve()), Memory()
        is_moved = functools.cache(lambda there: is_gone(Path(there)))
        for old, stem in self.stems.items():
            (there, source), new, digest = old, old, self.digests.get(old)
            if there != here and (here, source) not in self.digests:
                other, moved = Path(there, source), is_moved(there)
                if moved or (Path(here, source).is_file() and is_gone(other)):
                    new = here, source
                    if digest is not None:
                        seen.followed[source] = other
                    digest = digest if moved else None
                elif Path(here, source).is_file():
                    seen.elsewhere[source] = other
            seen.stems[new] = stem
            if digest is not None:
                seen.digests[new] = digest
        return seen


def is_gone(path: Path) -> bool:
    """Whether there is surely no such file or folder; one that must not be looked at may be there."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def recall(dataset: VocFolder) -> Memory:
    """Read what is recorded, the work of an interrupted conversion included. Raises DataError if it is damaged."""
    memory = Memory()
    for record in read_records(dataset):
        memory.stems[record.key], memory.digests[record.key] = record.stem, record.digest
    owners = {stem: folder for (folder, _), stem in memory.stems.items()}
    planned = _planned(dataset).items()
    memory.stems = {key: stem for key, stem in planned if owners.get(stem, key[0]) == key[0]} | memory.stems
    return memory


def read_records(dataset: VocFolder) -> Iterator[Record]:
    """Every record, by stem; of two for one stem the later. Raises DataError if the file is damaged."""
    finished = _lines(dataset.records_file, damaged_is_error=True)
    unfinished = _lines(dataset.unfinished, damaged_is_error=False)
    last: Record | None = None
    for record in heapq.merge(finished, unfinished, key=lambda record: record.stem):
        if last is not None and last.stem != record.stem:
            yield last
        last = record
    if last is not None:
        yield last


def _lines(path: Path, *, damaged_is_error: bool) -> Iterator[Record]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield _record(line)
                except (msgspec.MsgspecError, ValueError, TypeError):
                    if damaged_is_error:
                        raise DataError(f"{path}: line {number} is damaged. Use --overwrite to convert anew.") from None
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}). Use --overwrite to convert anew.") from None


def _planned(dataset: VocFolder) -> dict[Key, str]:
    try:
        with dataset.unfinished.open("rb") as file:
            plan = json.loads(file.readline() or b"{}")
        return {(str(plan["folder"]), str(source)): str(stem) for source, stem in plan["stems"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


class Journal:
    """The lines of a conversion at work. Records of an interrupted one before it are kept."""

    def __init__(self, dataset: VocFolder, folder: str, stems: Mapping[str, str]) -> None:
        if dataset.unfinished.exists():
            _write_records(dataset)
        write_text(dataset.unfinished, json.dumps({"folder": folder, "stems": dict(stems)}) + "\n")
        self._file: BinaryIO = dataset.unfinished.open("ab", buffering=0)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, record: Record, mask: Fingerprint | None) -> None:
        """`mask` is the fingerprint of the mask that was written; None: unknown."""
        try:
            self._file.write(_Written(**vars(record), mask=mask).as_line())
        except OSError as error:
            raise SegError(f"{self._file.name}: cannot be written: {error.strerror or error}. Free space.") from error


def finish_records(dataset: VocFolder, each: Callable[[Record], None]) -> None:
    """Turn what was recorded before and the journal into `records.jsonl`, `sources.csv` and `mask_counts.jsonl`.

    each   is called with every record
    """
    with writing(dataset.sources_file) as sources, io.TextIOWrapper(sources, "utf-8", "backslashreplace", "") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("stem", "source"))

        def tell(record: Record) -> None:
            writer.writerow((record.stem, record.source))
            each(record)

        _write_records(dataset, tell)


def _write_records(dataset: VocFolder, each: Callable[[Record], None] | None = None) -> None:
    with writing(dataset.records_file) as file:
        for record in read_records(dataset):
            file.write(record.as_line())
            if each is not None:
                each(record)
    save_counts(dataset, _counted(dataset))


def _counted(dataset: VocFolder) -> Iterator[CountedMask]:
    """What the journal tells of masks, by stem."""
    with dataset.unfinished.open("rb") as file:
        for line in file:
            try:
                written = _WRITTEN.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):  # the first line, half of the last one, odd names
                continue
            if written.mask is not None:
                yield CountedMask(written.stem, *written.mask, written.pixels)
