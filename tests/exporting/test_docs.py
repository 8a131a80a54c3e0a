"""The example of docs/export.md, run as it stands."""

import contextlib
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.exporting.scenes import photograph
from tests.runs.checkpoints import tiny_checkpoint
from toolkit.engines import FORMATS
from toolkit.engines.base import ModelCard
from toolkit.engines.opening import load_writer
from toolkit.exporting.int8 import INT8
from toolkit.models import MODELS

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")


def test_the_example_without_seg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    saved = tiny_checkpoint()
    model, card = saved.build(), ModelCard(saved.classes, saved.preprocess, "unet")
    load_writer("onnx")(model, replace(card, raw_input=True), tmp_path / "model.onnx")
    Image.fromarray(photograph((50, 64))).save(tmp_path / "photo.jpg")  # 64: nothing is resized
    with Image.open(tmp_path / "photo.jpg") as image:
        pixels = np.array(image)

    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert "toolkit" not in example
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "docs/export.md", "exec"), {})

    with torch.inference_mode():
        expected = model(saved.preprocess.apply(pixels)[None])[0, :, :50, :64].argmax(0).numpy()
    with Image.open(tmp_path / "mask.png") as mask:
        found = np.array(mask)
        assert mask.getpalette()[3:6] == saved.classes.colors[1].tolist()  # type: ignore[index]
    assert found.shape == (50, 64)
    assert (found == expected).mean() > 0.999
    assert len(np.unique(expected)) > 1
    assert printed.getvalue().strip() == str([saved.classes.names[k] for k in np.unique(found)])


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
