"""docs/models.md says of every model what is true of it."""

import re
from pathlib import Path

from toolkit.models import MODELS
from toolkit.models.entry import DOORS

TEXT = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^`]+)` \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \| (\d+) \| (.+) \|$", re.MULTILINE)


def test_the_table_has_every_model_with_its_numbers() -> None:
    rows = {name: rest for name, *rest in ROW.findall(TEXT)}
    assert list(rows) == list(MODELS)
    for name, (parameters, gflops, seconds, stride, source) in rows.items():
        entry = MODELS.entry(name)
        assert (int(parameters.replace(",", "")), float(gflops), int(stride), source) == (
            entry.parameters,
            entry.gflops,
            entry.stride,
            entry.source,
        )
        assert float(seconds) > 0


def test_every_model_has_a_word_beyond_its_row() -> None:
    headings = " ".join(line for line in TEXT.splitlines() if line.startswith("#"))
    text = f"{headings} {ROW.sub('', TEXT)}"
    for name in MODELS:
        numbered = re.fullmatch(r"((vgg|resnet)\d+)(-bn)?-unet", name)
        named = re.search(rf"(?<![\w-]){numbered[1]}-" if numbered else rf"(?<![\w-]){name}(?![\w-])", headings)
        assert named or f"- `{name}`: " in text, name
    for how in DOORS:
        assert how in text
