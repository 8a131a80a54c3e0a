"""`seg check` as a user types it."""

import json
from pathlib import Path

from tests.annotations import annotated, content, shape, write_json
from tests.cli.program import seg, seg_program


def test_predictions_that_nobody_has_looked_at(tmp_path: Path) -> None:
    for index in range(5):
        annotated(tmp_path / "in", f"p{index}", seed=7 * index, flags={"predicted": index > 0})
    said = seg_program(tmp_path, "check", "in").stdout
    assert "warning: predictions that nobody has looked at (4)" in said
    assert "in/p1.json: still has the flag 'predicted'." in said and "and 1 more (all with --json)" in said
    assert said.count("seg annotate LABELME_DIR") == said.count("--only-reviewed") == 1
    found = json.loads(seg(tmp_path, "check", "in", "--json").stdout)["findings"]
    assert [item["code"] for item in found] == ["unreviewed"] * 4
    seg(tmp_path, "check", "in", "--strict", code=1)


def test_findings_by_kind_with_a_way_out_and_the_right_exit_code(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "a")
    annotated(tmp_path / "in", "b", seed=7)
    sound = seg(tmp_path, "check", "in")
    assert sound.stdout == "in: nothing to complain about: 2 annotations, 2 shapes, 1 labels\n"
    write_json(tmp_path / "in" / "b.json", content([shape(), shape()], "b.jpg"))
    odd = seg(tmp_path, "check", "in")
    assert "warning: shapes drawn twice (1)" in odd.stdout
    assert "b.json: shapes[1]" in odd.stdout
    assert "way out: Delete one; --fix does it." in odd.stdout
    seg(tmp_path, "check", "in", "--strict", code=1)
    (tmp_path / "in" / "c.json").write_text("{", encoding="utf-8")
    broken = seg(tmp_path, "check", "in", "--json", code=1)
    assert json.loads(broken.stdout)["levels"] == {"error": 1, "warning": 1, "note": 0}
    mended = seg(tmp_path, "check", "in", "--fix", "out", code=1)
    assert "out: 1 shapes taken out that were drawn twice" in mended.stderr
    seg(tmp_path, "check", "out")
    seg(tmp_path, "check", "in", "--fix", "out", code=2)
    assert seg(tmp_path, "check", "nowhere", code=1).stderr == "seg: nowhere: there is no such folder.\n"
