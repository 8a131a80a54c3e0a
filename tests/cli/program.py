"""`seg` as it is typed, in a folder of its own: in this process, and as the console script it is installed as."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from toolkit.cli.start import main

SAMPLE = Path(__file__).parents[2] / "datasets" / "coins"

SEG = shutil.which("seg", path=str(Path(sys.executable).parent)) or "seg"

PLAIN = {"NO_COLOR": "1", "https_proxy": "http://127.0.0.1:9", "COLUMNS": "100"}
"""Offline, and with lines of one length."""


def seg(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `seg` in `folder` and check its exit code; without a process of its own, whose start takes most of a test.

    What only a process can show has to be asked of `seg_program`: that a command works where nothing is loaded yet,
    what comes of signals, of closed pipes, of what libraries print themselves.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            for name, value in PLAIN.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["seg", *arguments])
            patch.setattr(sys, "path", list(sys.path))  # to which the folder of a user's own model is added
            patch.chdir(folder)
            ended = _code_of_main()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    said = []
    for stream in (out, err):
        stream.flush()
        said.append(stream.buffer.getvalue().decode())
    return _checked(subprocess.CompletedProcess(["seg", *arguments], ended, *said), code)


def _code_of_main() -> int:
    try:
        main()
    except SystemExit as end:
        assert end.code is None or isinstance(end.code, int), end.code
        return end.code or 0
    return 0


def seg_program(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Start `seg` in `folder`, wait for its end and check its exit code."""
    done = subprocess.run(
        [SEG, *arguments], cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False, env=environment()
    )
    return _checked(done, code)


def _checked(done: subprocess.CompletedProcess[str], code: int) -> subprocess.CompletedProcess[str]:
    typed = " ".join(done.args[1:])
    assert done.returncode == code, f"seg {typed}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert "should not be" not in done.stderr
    return done


def environment() -> dict[str, str]:
    """Offline, with all warnings in the way of a user left on; compiled modules are kept from one start to the next."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    }
    cache = Path(tempfile.gettempdir()) / "seg-tests-bytecode"
    return {"PYTHONPYCACHEPREFIX": str(cache), **kept, **PLAIN, "PYTHONUTF8": "1"}
