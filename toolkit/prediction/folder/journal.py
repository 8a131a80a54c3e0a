"""What is finished, line by line: a run that was killed goes on from here, and tables are made of it.

OUT/predictions.jsonl holds one JSON object a line, in ASCII, appended when all files of a picture are complete. Several
processes write one file each, predictions-I-of-N.jsonl; they are merged at the end.
"""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from toolkit.errors import RunError

MERGED = "predictions.jsonl"


@dataclass(frozen=True, slots=True)
class Line:
    """A picture, a frame, or a film that has ended.

    name       of what was written, relative, without suffix
    source     the file it came from, as named, or `camera:N`
    size       (H, W)
    frame      number in its film, from 0; None: a picture, or a film's own line
    frames     of a film's own line: how many were predicted
    files      kind -> file, relative to the run's folder
    beside     the labelme file next to the picture, as the picture was named
    kept       files that were there and stay as they are
    replaced   that in the place of `beside` was a file that a person had made or looked at: the same name again
    renewed    that in the place of `beside` was a prediction that nobody had looked at
    pixels     by class id
    sureness   mean probability by class id, nan where there is no pixel
    tables     kind -> what the picture adds to it
    failure    why it was not predicted, or not to its end
    """

    name: str
    source: str
    size: tuple[int, int] | None = None
    frame: int | None = None
    frames: int | None = None
    files: dict[str, str] = field(default_factory=dict)
    beside: str | None = None
    kept: tuple[str, ...] = ()
    replaced: str | None = None
    renewed: bool = False
    pixels: tuple[int, ...] = ()
    sureness: tuple[float, ...] = ()
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    failure: str | None = None

    def encode(self) -> bytes:
        """The line, with its line feed."""
        values = {
            "name": self.name,
            "source": self.source,
            "size": self.size,
            "frame": self.frame,
            "frames": self.frames,
            "files": self.files or None,
            "beside": self.beside,
            "kept": self.kept or None,
            "replaced": self.replaced,
            "renewed": self.renewed or None,
            "pixels": self.pixels or None,
            "sureness": [None if math.isnan(share) else round(share, 6) for share in self.sureness] or None,
            "tables": self.tables or None,
            "failure": self.failure,
        }
        return json.dumps({key: value for key, value in values.items() if value is not None}).encode("ascii") + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> "Line | None":
        """The inverse of `encode`; None for what is no whole line."""
        if not data.endswith(b"\n"):
            return None
        try:
            values = json.loads(data)
            size = values.get("size")
            frame, frames = values.get("frame"), values.get("frames")
            beside, replaced, failure = (values.get(key) for key in ("beside", "replaced", "failure"))
            return cls(
                name=_text(values["name"]),
                source=_text(values["source"]),
                size=None if size is None else (int(size[0]), int(size[1])),
                frame=None if frame is None else int(frame),
                frames=None if frames is None else int(frames),
                files={str(kind): _text(path) for kind, path in values.get("files", {}).items()},
                beside=None if beside is None else _text(beside),
                kept=tuple(map(_text, values.get("kept", ()))),
                replaced=None if replaced is None else _text(replaced),
                renewed=values.get("renewed") is True,
                pixels=tuple(map(int, values.get("pixels", ()))),
                sureness=tuple(math.nan if share is None else float(share) for share in values.get("sureness", ())),
                tables={str(kind): dict(record) for kind, record in values.get("tables", {}).items()},
                failure=None if failure is None else _text(failure),
            )
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError):
            return None

    @property
    def belongs_to(self) -> str:
        """The name of the source: a frame's is that of its film."""
        return self.name if self.frame is None else self.name.rpartition("/")[0]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


class Journal:
    """A file to which lines are added."""

    def __init__(self, path: Path) -> None:
        """Open for adding; what a killed process left half written at the end is cut off."""
        self.path = path
        try:
            with path.open("ab") as file:
                whole = _whole_bytes(path)
                file.truncate(whole)
            self._file: BinaryIO = path.open("ab")
        except OSError as error:
            raise self._refusal(error) from error

    def add(self, line: Line) -> None:
        """Write a line; when this returns, the kill of this process does not lose it."""
        try:
            self._file.write(line.encode())
            self._file.flush()
        except OSError as error:
            raise self._refusal(error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> RunError:
        return RunError(f"{self.path}: cannot be written: {error.strerror or error}. Free space, then use --continue.")


def _whole_bytes(path: Path) -> int:
    """Length of the file up to its last line feed."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - (1 << 16))
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0


def journal_name(part: int, parts: int) -> str:
    """Of the `part`-th, from 0, of so many processes."""
    return MERGED if parts == 1 else f"predictions-{part + 1}-of-{parts}.jsonl"


def journals_in(root: Path) -> list[Path]:
    """All journals of a run, the merged one first: what the others hold that it does not is newer.

    Whoever goes on in one process brings all into it before, see `standing.gather`.
    """
    return [root / MERGED, *sorted(root.glob("predictions-*-of-*.jsonl"))]


def read_lines(path: Path) -> Iterator[tuple[int, Line]]:
    """Where each line begins, and the line. A file that is not there has none; what is no whole line is passed over."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}.") from None
    with file:
        offset = 0
        for data in file:
            line = Line.decode(data)
            if line is not None:
                yield offset, line
            offset += len(data)
