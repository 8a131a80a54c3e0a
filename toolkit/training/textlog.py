"""log.txt: what a training run said."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from toolkit.progress import Progress


class TextLog(Progress):
    """Passes everything on, and appends what is said and warned to a text file, with date and time.

    A run has no folder before its plan is made: lines that come before `write_to` are kept until then. A line is in the
    file before the next one is said. If the file cannot be written, that is one warning.
    """

    def __init__(self, inner: Progress, clock: Callable[[], datetime] = datetime.now) -> None:
        self._inner, self._clock = inner, clock
        self._path: Path | None = None
        self._waiting: list[str] = []
        self._has_failed = False

    def write_to(self, path: Path) -> None:
        """Append to this file from now on, first what was said so far."""
        self._path = path
        self._flush()

    def note(self, line: str) -> None:
        """A line for the file alone, such as the error that ends the run."""
        stamp = self._clock().astimezone().isoformat(timespec="seconds")
        self._waiting += [f"{stamp}  {part}\n" for part in line.splitlines() or [""]]
        if self._path is not None:
            self._flush()

    def say(self, line: str) -> None:
        self._inner.say(line)
        self.note(line)

    def warn(self, line: str) -> None:
        self._inner.warn(line)
        self.note(f"warning: {line}")

    def begin(self, what: str, total: int | None) -> None:
        self._inner.begin(what, total)

    def advance(self, note: str = "") -> None:
        self._inner.advance(note)

    def end(self) -> None:
        self._inner.end()

    def _flush(self) -> None:
        assert self._path is not None
        text, self._waiting = "".join(self._waiting), []
        try:
            with self._path.open("ab", buffering=0) as file:
                file.write(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                self._inner.warn(f"{self._path}: cannot be written: {error.strerror or error}. The training goes on.")
