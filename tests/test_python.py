"""The Python of the README runs as it stands, apart from its length."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.program import SAMPLE

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
