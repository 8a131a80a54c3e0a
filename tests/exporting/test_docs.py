"""What docs/export.md says of formats and models; its example is run in tests/engines/test_formats.py."""

import re
from pathlib import Path

from toolkit.engines import FORMATS
from toolkit.exporting.int8 import INT8
from toolkit.models import MODELS

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")


def test_the_page_names_every_format_and_what_it_holds() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*)$", PAGE, re.MULTILINE))
    assert set(FORMATS) <= set(rows)
    for kind in FORMATS:
        assert f"NAME{FORMATS.entry(kind).suffix}" in rows[kind]
        assert ("int8" in rows[kind]) == (kind in INT8)


def test_the_page_counts_the_models() -> None:
    _, said, of = re.search(r"(ncnn) translates (\d+) of the (\d+) models", PAGE).groups()  # type: ignore[union-attr]
    named = re.findall(r"`([a-z0-9-]+)`", PAGE[PAGE.index("ncnn translates") :].split("\n\n")[0])
    assert int(of) == len(list(MODELS))
    assert int(said) == int(of) - len([name for name in named if name in MODELS])
