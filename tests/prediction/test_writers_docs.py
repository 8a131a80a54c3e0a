"""What docs/outputs.md says of the files is what programs find there."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.labels.classmap import ClassMap
from toolkit.prediction.kinds import known_kinds
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.tables import TABLES
from toolkit.prediction.tables.row import TableRow
from toolkit.prediction.writers import WRITERS
from toolkit.prediction.writers.options import WriteOptions

PAGE = Path(__file__).parents[2] / "docs" / "outputs.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
CLASSES = ClassMap(("_background_", "disc", "bar"))
MASK = np.array([[0, 1, 1, 1], [0, 2, 2, 1]], np.uint8)
SHARES = np.where(np.arange(3)[:, None, None] == MASK, 0.5, 0.25).astype(np.float16)
PREDICTION = Prediction(
    MASK,
    np.zeros((2, 4, 3), np.uint8),
    CLASSES,
    sureness=(0.5,) * 3,
    certainties=np.full((2, 4), 0.5, np.float32),
    shares=SHARES,
)


def test_every_kind_is_in_the_table_of_the_page() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rows) == set(known_kinds())


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0.11
def test_the_programs_on_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("mask", "npz", "tiff"):
        WRITERS.load(kind)(PREDICTION, None, tmp_path / kind / "NAME")
    for kind in TABLES:
        table, options = TABLES.load(kind), WriteOptions()
        row = TableRow("NAME", "NAME.jpg", (2, 4), None, table.record(PREDICTION, options))
        table.assemble([row], CLASSES, tmp_path, options)
    monkeypatch.chdir(tmp_path)
    seen: list[dict[str, Any]] = []
    for block in BLOCKS:
        seen.append({})
        exec(block, seen[-1])
    assert len(seen) == 5
    assert np.array_equal(seen[0]["ids"], MASK)
    assert np.array_equal(seen[1]["ids"], MASK)
    assert seen[1]["classes"] == list(CLASSES.names)
    assert np.array_equal(seen[2]["probabilities"], SHARES)
    printed = capsys.readouterr().out
    assert "NAME disc 4 0.5\nNAME bar 2 0.25\n" in printed
    assert "1 disc 4 0.5\n2 bar 2 0.5\n" in printed
