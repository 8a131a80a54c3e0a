"""Every test runs offline, in full sight of its seed, and away from the user's files."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_weights_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty TORCH_HOME: whether ImageNet weights were downloaded here before must not matter."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch-home"))
