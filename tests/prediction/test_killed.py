"""Killed and gone on with, divided between processes and between shards: the same files, byte for byte."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets import paint, scene
from tests.prediction.films import write_film
from tests.runs.checkpoints import saved_checkpoint

ROOT = Path(__file__).parents[2]
KILLS = 3


def content(root: Path) -> dict[str, bytes]:
    """Every file's bytes; the folder's own name, which stands in the manifest, is left out."""
    own = json.dumps(str(root)).encode()
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes().replace(own, b"OUT") for path in files}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    photos = folder / "photos"
    for seed in range(30):
        rng = np.random.default_rng(seed)
        path = photos / f"{seed % 7}" / f"{seed:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(paint(scene((90, 120), 3, rng), rng)).save(path)
    write_film(photos / "3" / "clip.avi", 18)
    write_film(photos / "5" / "other.avi", 12)
    weights = saved_checkpoint(folder / "best.safetensors")
    program: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.prediction.killing",
        folder / "out",
        weights,
        str(KILLS),
        "5",
        photos,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return folder / "out"


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, to start quickly")


def test_killed_and_gone_on_with_it_is_as_if_nothing_had_happened(out: Path) -> None:
    whole = content(out / "whole")
    assert len(whole) == 2 * (30 + 30) + 2 + 5, "masks and ids, films, tables, journal and manifest"
    assert content(out / "killed") == whole


def test_two_processes_write_what_one_does(out: Path) -> None:
    assert content(out / "ranks") == content(out / "whole")


def test_two_shards_at_once_write_what_one_call_does(out: Path) -> None:
    shards = content(out / "shards")
    lines = [shards.pop(f"predictions-{number}-of-2.jsonl") for number in (1, 2)]
    assert shards == content(out / "whole")
    assert all(lines) and len(b"".join(lines)) == len(shards["predictions.jsonl"])
