"""The program labelme, whichever release is installed: where it is, what it understands, starting it."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from toolkit.annotating.session import Session
from toolkit.errors import RunError, UsageError
from toolkit.files import write_text

FULL_NAMES = (7, 9)
"""The release of labelme since which it looks for `x.png.json` beside `x.png`, too, not for `x.json` alone."""
_LONGEST_LIST = 255
"""Bytes. labelme asks first whether a list of labels is a file, and 6 breaks where no file can have so long a name."""


def find_program() -> str:
    """The labelme program: on the PATH or beside this Python. Raises UsageError saying how to install it."""
    beside = Path(sys.executable).parent
    found = shutil.which("labelme") or shutil.which("labelme", path=str(beside))
    if found is None:
        raise UsageError("labelme is not installed. Install it with: pip install 'seg-toolkit[labelme]'")
    return found


@contextlib.contextmanager
def label_file(session: Session) -> Iterator[Path | None]:
    """A text file of the labels, a line each, as long as labelme runs; None where they fit into its command line."""
    if session.labels is None or _as_words(session.labels) is not None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="seg-annotate-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, "labels.txt")
        write_text(path, "".join(f"{label}\n" for label in session.labels))
        yield path


def command(program: str, session: Session, *, any_label: bool = False, labels: Path | None = None) -> list[str]:
    """The command line that opens a session in this labelme, whose options differ from release to release.

    any_label    other labels than those of the session may be given, too
    labels       of `label_file`; without it UsageError is raised where a file is needed and there is none
    """
    known = _said_by(program, "--help")
    words = [program, str(session.path.absolute())]
    if session.output is not None:
        words += ["--output", str(session.output.absolute())]
    if session.labels is not None:
        words += ["--labels", str(labels) if labels is not None else _as_argument(session)]
        strict = next((option for option in ("--validate-label", "--validatelabel") if option in known), None)
        if strict is not None and not any_label:
            words += [strict, "exact"]
    if session.ask_to_save and "--no-auto-save" in known:
        words.append("--no-auto-save")
    if "--nodata" in known:  # since 6 pictures are not copied into the annotations anyway
        words.append("--nodata")
    return words


def release_of(program: str) -> tuple[int, ...]:
    """The version of this labelme, (6, 3, 1); () if it does not say."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", _said_by(program, "--version"))
    return tuple(int(part) for part in found.groups() if part) if found is not None else ()


def require_display() -> None:
    """Raise RunError where no window can be opened."""
    wanted = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in wanted):
        raise RunError(
            "labelme needs a screen, and there is none here. Run this where you sit, or log in with: ssh -X. "
            "--print shows the command."
        )


def start(words: Sequence[str]) -> None:
    """Run labelme until its window is closed. Raises RunError if it failed; Ctrl-C closes it."""
    with subprocess.Popen(words) as process:  # noqa: S603  # the program that the user has installed, without a shell
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            raise
    if code:
        raise RunError(f"labelme ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}; see above.")


def _as_words(labels: Sequence[str]) -> str | None:
    """The labels with commas between them; None if labelme could not read that."""
    text = ",".join(labels)
    return None if len(os.fsencode(text)) > _LONGEST_LIST or any("," in label for label in labels) else text


def _as_argument(session: Session) -> str:
    """The labels, or the file that they come from if labelme can read it: one of a label a line."""
    assert session.labels is not None
    if (words := _as_words(session.labels)) is not None:
        return words
    if session.labels_from is not None and session.labels_from.suffix.lower() == ".txt":
        return str(session.labels_from.absolute())
    raise UsageError(
        f"{session.labels_from}: labels with commas, or so many, labelme takes from a text file only. Write them into "
        "one, a line each: --labels FILE.txt; or leave out --print"
    )


def _said_by(program: str, option: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # as in `start`
            [program, option], capture_output=True, text=True, errors="replace", timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"{program}: cannot be started ({error}).") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunError(f"{program} does not start: {last}. Install it again: pip install 'seg-toolkit[labelme]'")
    return done.stdout
