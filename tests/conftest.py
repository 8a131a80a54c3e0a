"""Every test runs offline, in full sight of its seed, and away from the user's files."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
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


@pytest.fixture(autouse=True)
def _no_handler_of_children() -> Iterator[None]:
    """PyTorch's loader leaves a handler for the end of child processes. Where OpenVINO is loaded too, waiting for a

    program with it has ended the process of the tests.
    """
    yield
    if hasattr(signal, "SIGCHLD") and signal.getsignal(signal.SIGCHLD) not in (signal.SIG_DFL, None):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        loading = sys.modules.get("torch.utils.data._utils.signal_handling")
        if loading is not None:
            loading.__dict__["_SIGCHLD_handler_set"] = False  # it sets it again when it is needed
