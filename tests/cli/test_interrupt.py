"""Ctrl-C and SIGTERM finish the step, save, and say how to go on; going on ends where it would have ended."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.program import SEG, environment
from tests.datasets import write_voc
from toolkit.cli.start import main
from toolkit.training.run import train


class Interrupting:
    """A finder of modules under which Ctrl-C comes while the command line is imported."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "toolkit.cli.app":
            raise KeyboardInterrupt


def test_stopped_while_modules_are_loaded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delitem(sys.modules, "toolkit.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting, *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "seg: stopped.\n"


OPTIONS = ("--workers", "2", "--model", "unet", "--width", "4", "--size", "32", "--batch", "4", "--epochs", "10")
RUN = Path("runs") / "train-1"


def rows(log: Path) -> int:
    """Lines of log.csv, its header included; none before it is there."""
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


def stop(folder: Path, name: signal.Signals, *arguments: str) -> str:
    """Send the signal as soon as another epoch is done; returns what was said."""
    log = folder / RUN / "log.csv"
    before = rows(log)
    process = subprocess.Popen(
        [SEG, "train", *arguments],
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    patience = time.monotonic() + 60
    while rows(log) <= before and time.monotonic() < patience and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(name)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    return said.replace(os.sep, "/")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_stopped_run_goes_on(tmp_path: Path) -> None:
    """Stopped by Ctrl-C, gone on with, stopped by SIGTERM; to the end by what `seg train` calls, as each start takes seconds."""
    write_voc(tmp_path / "voc", train=16, val=2, size=(100, 80))
    assert "seg train --resume runs/train-1" in stop(tmp_path, signal.SIGINT, "voc", *OPTIONS)
    assert "seg train --resume runs/train-1" in stop(tmp_path, signal.SIGTERM, "--resume")
    assert rows(tmp_path / RUN / "log.csv") < 11
    with contextlib.chdir(tmp_path):
        train(resume=RUN)
    assert rows(tmp_path / RUN / "log.csv") == 11
