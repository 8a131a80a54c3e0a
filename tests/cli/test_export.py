"""seg export and seg bench, as they are typed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import toolkit
from tests.cli.program import seg, seg_program
from tests.runs.checkpoints import saved_checkpoint

pytest.importorskip("ncnn")


def test_what_cannot_be_is_refused_at_once(tmp_path: Path) -> None:
    saved_checkpoint(tmp_path / "m.safetensors")
    for words, message, code in (
        (("export",), "Train one with: seg train", 1),
        (("export", "--weights", "m.safetensors", "--format", "onix"), "Did you mean 'onnx'", 2),
        (("export", "--weights", "m.safetensors", "--int8", "--precision", "fp16"), "contradict", 2),
        (("bench", "--model", "unet", "--weights", "m.safetensors"), "Give one of them", 2),
    ):
        assert message in seg_program(tmp_path, *words, code=code).stderr


@pytest.mark.slow  # five times torch
def test_export_tells_what_it_wrote_and_seg_predicts_with_it(tmp_path: Path) -> None:
    saved_checkpoint(tmp_path / "m.safetensors")
    done = seg_program(tmp_path, "export", "--weights", "m.safetensors", "-f", "ncnn", "--check", "1", "--json")
    (item,) = json.loads(done.stdout)["files"]
    assert item["path"] == str(Path("export", "unet-m.ncnn.param"))
    assert item["agreement"] > 0.999
    assert all((tmp_path / file).is_file() for file in item["files"])
    assert "invented pictures" in done.stderr
    again = seg(tmp_path, "export", "--weights", "m.safetensors", "-f", "ncnn", code=2)
    assert "--overwrite" in again.stderr
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / "a.png")
    seg(tmp_path, "predict", "a.png", "--weights", item["path"], "--save", "ids", "--out", "out")
    with Image.open(tmp_path / "out" / "ids" / "a.png") as mask:
        found = np.array(mask)
    expected = toolkit.load(tmp_path / "m.safetensors", precision="fp32").predict(tmp_path / "a.png").mask
    assert (found == expected).mean() > 0.999
