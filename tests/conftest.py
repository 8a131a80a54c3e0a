"""Every test runs offline, in full sight of its seed, and away from the user's files."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

if sys.dont_write_bytecode:  # importing torch then takes twice as long, in every process that tests start
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(Path(tempfile.gettempdir(), "seg-tests-bytecode"))

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes test at a time, and many start others
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # a shell starts what runs in the background so, and we inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_weights_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty TORCH_HOME: whether ImageNet weights were downloaded here before must not matter."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch-home"))
