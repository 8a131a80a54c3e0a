"""The Python of the README and of docs/python.md runs as it stands, apart from its length."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.program import SAMPLE
from tests.runs.checkpoints import saved_checkpoint

ROOT = Path(__file__).parents[1]


def test_readme_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    short = block.replace("epochs=50", "epochs=1, width=4, size=32, batch=8")
    assert short != block
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SAMPLE, "labelme_dir")
    shutil.copy(SAMPLE / "tissue_01.jpg", "photo.jpg")
    names: dict[str, Any] = {}
    exec(short, names)
    assert names["prediction"].mask.shape == (128, 128)
    assert names["prediction"].mask.dtype == np.uint8
    assert 0 <= names["prediction"].confidence.min() <= names["prediction"].confidence.max() <= 1
    assert 0 <= names["report"].scores.miou <= 1


def test_python_of_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    saved_checkpoint(Path("runs/train-1/weights/best.safetensors"), ("_background_", "cell", "fibre"))
    Path("runs/train-1/config.yaml").touch()
    Path("imgs").mkdir()
    for name, number in (("a", 1), ("b", 2)):
        shutil.copy(SAMPLE / f"tissue_0{number}.jpg", f"imgs/{name}.jpg")
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert names["scan"].size == (128, 128)
    assert {path.relative_to("results").parts[0] for path in Path("results").rglob("*")} == {
        "a.png", "mask", "labelme", "counts.csv", "counts.json", "manifest.json", "predictions.jsonl",
    }  # fmt: skip
    said = capsys.readouterr().out
    assert "% of the picture" in said and "a.jpg" in said and "2 pictures in results" in said
