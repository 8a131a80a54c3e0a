"""Ctrl-C and SIGTERM finish the step, save, and say how to go on; going on ends where it would have ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.program import SAMPLE, SEG, environment, seg
from toolkit.cli.start import main


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


OPTIONS = ("--workers", "2", "--model", "unet", "--width", "4", "--size", "32", "--batch", "4", "--epochs", "16")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_goes_on(tmp_path: Path, name: signal.Signals) -> None:
    seg(tmp_path, "convert", str(SAMPLE))
    seg(tmp_path, "split")
    process = subprocess.Popen(
        [SEG, "train", *OPTIONS],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    log = tmp_path / "runs" / "train-1" / "log.csv"
    patience = time.monotonic() + 60
    while not log.exists() and time.monotonic() < patience:
        time.sleep(0.05)
    process.send_signal(name)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "seg train --resume runs/train-1" in said.replace(os.sep, "/")
    assert "Traceback" not in said
    rows_before = len(log.read_text(encoding="utf-8").splitlines())
    assert rows_before < 17
    if name == signal.SIGTERM:
        return
    seg(tmp_path, "train", "--resume")
    assert len(log.read_text(encoding="utf-8").splitlines()) == 17
