"""What the user sees: progress and messages on standard error, results on standard output."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from toolkit.errors import SegError
from toolkit.findings import Finding, by_code
from toolkit.progress import Progress

_SECONDS_BETWEEN_LINES = 10.0
_EXAMPLES = 5


def show(lines: str) -> None:
    """Print a result."""
    if sys.stdout is None:  # closed by the caller, who does not want to know
        return
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(f"{lines}\n".encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes what is left when it ends
        if not isinstance(error, BrokenPipeError):  # that is `| head`: enough was read
            raise SegError(f"standard output: cannot be written: {error.strerror or error}.") from error


def typed(*words: object) -> str:
    """Words as they are typed at the prompt of this system, in quotes where they need them."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)


def show_json(value: Any) -> None:
    """Print a result for a script."""
    show(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def complain(text: str) -> None:
    """Print a message for the user."""
    with contextlib.suppress(OSError, AttributeError):  # closed, or on a full disk: there is nobody to tell
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def spare_blas_threads() -> None:
    """numpy starts a thread for every core, which spins for a while; nothing in these commands multiplies matrices.

    To be called before numpy is imported.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def show_findings(heading: str, findings: Sequence[Finding], where: str) -> None:
    """Complain of each kind of thing with a few examples; the rest is counted, and stands in the file `where`."""
    for alike in by_code(findings).values():
        for finding in alike[:_EXAMPLES]:
            complain(f"{heading}: {finding}")
        if len(alike) > _EXAMPLES:
            complain(f"{heading}: and {len(alike) - _EXAMPLES} more like it, all in {where}")


def make_progress() -> Progress:
    """A live bar on a terminal, plain lines elsewhere."""
    return _Bar() if sys.stderr is not None and sys.stderr.isatty() else _Lines()


class _Lines(Progress):
    """A line when a stage begins, and one every ten seconds with an estimate."""

    def __init__(self) -> None:
        self._what, self._total, self._done = "", 0, 0.0
        self._began = self._last = 0.0

    def say(self, line: str) -> None:
        complain(line)

    def warn(self, line: str) -> None:
        complain(f"warning: {line}")

    def begin(self, what: str, total: int | None) -> None:
        self._what, self._total, self._done = what, total or 0, 0.0
        self._began = self._last = time.monotonic()

    def advance(self, note: str = "") -> None:
        self._done = int(self._done) + 1.0
        self._tell(note)

    def part(self, share: float, note: str = "") -> None:
        self._done = int(self._done) + min(share, 0.999)
        self._tell(note)

    def _tell(self, note: str) -> None:
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES or 0 < self._total <= self._done or not self._done:
            return
        self._last = now
        note = f", {note}" if note else ""
        if not self._total:
            complain(f"{self._what}: {int(self._done)}{note}")
            return
        left = (now - self._began) / self._done * (self._total - self._done)
        complain(f"{self._what}: {int(self._done)} of {self._total}, about {left:.0f} s left{note}")


class _Bar(Progress):
    """A bar with an estimate that goes away when its stage ends."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar: Any = None
        self._task: Any = None
        self._done = 0.0

    def say(self, line: str) -> None:
        self._console.print(line, markup=False)

    def warn(self, line: str) -> None:
        self._console.print(f"warning: {line}", markup=False, style="yellow")

    def begin(self, what: str, total: int | None) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.end()
        self._done = 0.0
        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task(what, total=total, note="")
        self._bar.start()

    def advance(self, note: str = "") -> None:
        self._done = int(self._done) + 1.0
        self._move(note)

    def part(self, share: float, note: str = "") -> None:
        self._done = int(self._done) + min(share, 0.999)
        self._move(note)

    def _move(self, note: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, note=note)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
