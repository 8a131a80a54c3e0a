"""Killed without warning, again and again, a run ends with the bytes of one that nobody touched."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.program import environment
from tests.datasets import write_voc
from tests.training.tiny import log_of, timeless, tiny_config

KILLS = int(os.environ.get("SEG_KILLS", "3"))
SEED = os.environ.get("SEG_KILLS_SEED", "1")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """With the state saved after each step, and only after epochs but with loader processes."""
    dataset = write_voc(tmp_path / "voc", train=9, val=2)
    chosen = tiny_config(dataset, epochs=3, lr=0.01, ema=0.9, accumulate=2, freeze_epochs=1)
    ways = {"each-step": replace(chosen, save_minutes=0.0), "processes": replace(chosen, workers=2)}
    for name, config in ways.items():
        (tmp_path / f"{name}.yaml").write_text(config.to_yaml(), encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.training.killing", str(tmp_path), str(KILLS), SEED),
            *(str(tmp_path / f"{name}.yaml") for name in ways),
        ],
        cwd=Path(__file__).parents[2],
        env={**environment(), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280 + 10 * KILLS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for way in ways:
        assert f"{way}-killed ended after 0 kills" not in done.stdout, "nothing was tested"
        whole, killed = tmp_path / f"{way}-whole", tmp_path / f"{way}-killed"
        for name in ("last", "best"):
            ours, theirs = ((run / "weights" / f"{name}.safetensors").read_bytes() for run in (killed, whole))
            assert ours == theirs, (way, name)
        assert timeless(log_of(killed)) == timeless(log_of(whole))
        assert (killed / "config.yaml").read_bytes() == (whole / "config.yaml").read_bytes()
        assert not list(killed.rglob("*.partial")), "what kills left is gone"
