"""Every format: the same numbers as PyTorch's own, the same card, and nothing done to whoever opens a bad file."""

import contextlib
import io
import json
import pickle
import re
import shutil
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.engines.small import NAMES, PREPROCESS, SIZES, Files, card, pictures, small_model, truth
from tests.exporting.scenes import photograph
from toolkit.data.preprocess import Preprocess
from toolkit.engines import ENGINES, FORMATS
from toolkit.engines.base import Engine, ModelCard
from toolkit.engines.opening import load_writer, open_engine
from toolkit.errors import CheckpointError, RunError, SegError, UsageError
from toolkit.models import MODELS
from toolkit.models.base import SegmentationModel
from toolkit.models.build import build_model

READ_BY = [
    ("onnx", "onnxruntime"),
    ("onnx", "openvino"),
    ("openvino", "openvino"),
    ("torchscript", "torchscript"),
    ("torch-export", "torch-export"),
]
WRITTEN = ["onnx", "openvino", "torchscript", "torch-export"]


def opened(path: Path, engine: str = "auto", precision: str = "fp32") -> Engine:
    if engine != "auto":
        for package in ENGINES.entry(engine).needs:
            pytest.importorskip(package)
    return open_engine(path, engine=engine, precision=precision, device="cpu", allow_code=True)


@pytest.mark.parametrize(
    ("name", "engine", "raw_input"),
    # the graph of torch-export is the one that onnx is made of
    [(*pair, raw) for pair in READ_BY for raw in (False, True) if (pair[0], raw) != ("torch-export", True)],
)
def test_logits_and_card_survive(files: Files, name: str, engine: str, raw_input: bool) -> None:
    ready = opened(files(name, raw_input=raw_input)[0], engine)
    assert ready.card == card(raw_input=raw_input)
    assert (ready.name, ready.precision) == (engine, "fp32")
    for size in SIZES:
        images = pictures(*size)
        logits = ready.logits(images)
        assert logits.dtype == torch.float32
        assert torch.allclose(logits, truth(images), atol=2e-4)


@pytest.mark.parametrize(("name", "engine"), READ_BY)
def test_threads_may_share_an_engine(files: Files, name: str, engine: str) -> None:
    ready = opened(files(name)[0], engine)
    batches = [pictures(1 + index % 2, 8 + 8 * (index % 5), 64) for index in range(20)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ready.logits, batches))
    for images, logits in zip(batches, found, strict=True):
        assert torch.allclose(logits, truth(images), atol=2e-4)


def test_the_logits_of_one_picture_outlive_the_next(files: Files) -> None:
    ready = opened(files("openvino")[0])
    first = ready.logits(pictures(1, 16, 16))
    before = first.clone()
    ready.logits(255 - pictures(1, 16, 16))
    assert torch.equal(first, before)


@pytest.mark.parametrize("name", ["openvino", "torchscript", "torch-export"])
def test_bfloat16_is_near_and_is_another(files: Files, name: str) -> None:
    images = pictures(1, 32, 32)
    exact = truth(images)
    try:
        ready = opened(files(name)[0], precision="bf16")
    except UsageError:
        pytest.skip("this CPU has no bfloat16")
    apart = (ready.logits(images) - exact).abs().max() / exact.abs().max()
    assert ready.precision == "bf16"
    assert 1e-4 < apart < 0.1


@pytest.mark.parametrize(("name", "engine"), READ_BY)
@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_precision_that_the_file_does_not_offer_is_refused(
    files: Files, name: str, engine: str, precision: str
) -> None:
    with pytest.raises(UsageError, match=f"precision: .*{precision}"):
        opened(files(name)[0], engine, precision)


def test_onnx_is_for_others_too(files: Files) -> None:
    """Names, types and lengths as documented, the classes to be read without seg, and one file."""
    onnxruntime = pytest.importorskip("onnxruntime")
    written = files("onnx", raw_input=True)
    assert len(written) == len(list(written[0].parent.iterdir())) == 1
    session = onnxruntime.InferenceSession(str(written[0]))
    images = pictures(2, 16, 24)
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    assert np.allclose(logits, truth(images).numpy(), atol=2e-4)
    about = json.loads(session.get_modelmeta().custom_metadata_map["seg"])
    assert (tuple(about["classes"]), about["preprocess"]["size"]) == (NAMES, 64)
    assert session.get_inputs()[0].shape == ["batch", "8*rows", "8*columns", 3]


def test_the_example_of_the_docs_predicts_without_seg(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/export.md, run as it stands, with a model whose masks are finer than its pictures."""
    pytest.importorskip("onnxruntime")
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "toolkit" not in example
    shutil.copy(files("onnx", raw_input=True)[0], tmp_path / "model.onnx")
    Image.fromarray(photograph((50, 64))).save(tmp_path / "photo.jpg")  # 64: nothing is resized
    with Image.open(tmp_path / "photo.jpg") as image:
        pixels = np.array(image)
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "docs/export.md", "exec"), {})

    logits = truth(torch.from_numpy(PREPROCESS.fit(pixels))[None])[:, :, :100, :128]
    expected = logits[0].argmax(0).numpy()
    with Image.open(tmp_path / "mask.png") as mask:
        found = np.array(mask)
        assert mask.getpalette()[3:6] == card().classes.colors[1].tolist()  # type: ignore[index]
    assert found.shape == (50, 64)
    assert (found == expected[1::2, 1::2]).mean() > 0.999  # the middle of 2 x 2, as Pillow takes the nearest
    assert len(np.unique(expected)) > 1
    assert printed.getvalue().strip() == str([NAMES[k] for k in np.unique(found)])


@pytest.mark.parametrize("device", ["tpu", "cuda", "cuda:x"])
def test_onnxruntime_names_the_devices_it_lacks(files: Files, device: str) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(UsageError, match="device"):
        open_engine(files("onnx")[0], engine="onnxruntime", device=device)


def test_onnx_goes_to_openvino_where_nothing_else_is_installed(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    path = files("onnx")[0]
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert open_engine(path).name == "openvino"


def test_nobody_is_told_that_openvino_is_used(files: Files) -> None:
    files("openvino")
    assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]


@pytest.mark.parametrize("name", WRITTEN)
def test_no_file_tells_where_the_code_lies(files: Files, name: str) -> None:
    here = str(Path(__file__).parents[2]).encode()
    for path in files(name):
        assert here not in path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                assert not [member for member in archive.namelist() if here in archive.read(member)]


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("harm", ["cut", "empty", "noise", "absent", "folder"])
def test_a_damaged_file_is_named(files: Files, tmp_path: Path, name: str, harm: str) -> None:
    whole = files(name)[0]
    path = tmp_path / whole.name
    data = whole.read_bytes()
    match harm:
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "empty":
            path.touch()
        case "noise":
            path.write_bytes(np.random.default_rng(0).bytes(3000))
        case "folder":
            path.mkdir()
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        opened(path)


def test_a_flipped_bit_is_found(files: Files, tmp_path: Path) -> None:
    """PyTorch's readers do not look: a weight would be another one for ever."""
    for name in ("torchscript", "torch-export"):
        whole = files(name)[0]
        with zipfile.ZipFile(whole) as archive:
            largest = max(archive.infolist(), key=lambda member: member.file_size)
        data = bytearray(whole.read_bytes())
        data[largest.header_offset + 200 + largest.file_size // 2] ^= 16
        path = tmp_path / whole.name
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="damaged"):
            opened(path)


def test_weights_that_are_missing_are_named(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    shutil.copy(files("openvino")[0], path)
    with pytest.raises(CheckpointError, match=r"model\.xml"):
        opened(path)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_somebody_elses_onnx_is_refused(files: Files, tmp_path: Path, engine: str) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(files("onnx")[0])
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "theirs.onnx")
    with pytest.raises(CheckpointError, match=r"theirs\.onnx: was not written by seg"):
        opened(tmp_path / "theirs.onnx", engine)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"classes": ["a", "b"]}, "not of this network"),
        ({"raw_input": True}, "not of this network"),
        ({"classes": "x" * 4}, "damaged"),
        ({"classes": []}, "damaged"),
        ({"preprocess": {"size": "many"}}, "damaged"),
        ({"format": 99}, "Update seg-toolkit"),
    ],
)
def test_a_card_of_another_network_is_refused(
    files: Files, tmp_path: Path, engine: str, change: dict[str, Any], says: str
) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(files("onnx")[0])
    model.metadata_props[0].value = json.dumps(json.loads(model.metadata_props[0].value) | change)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(CheckpointError, match=rf"model\.onnx: .*{says}"):
        opened(tmp_path / "model.onnx", engine)


@pytest.mark.parametrize(("name", "engine"), READ_BY)
def test_a_wrong_upscale_is_found_when_computing(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, engine: str
) -> None:
    ready = opened(files(name)[0], engine)
    ready.card = replace(ready.card, preprocess=replace(PREPROCESS, upscale=1))
    with pytest.raises(RunError, match=r"gave \(1, 3, 32, 32\) where logits \(1, 3, 16, 16\)"):
        ready.logits(pictures(1, 16, 16))


class Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["torchscript", "torch-export"])
def test_what_can_hold_code_is_not_opened_unasked(tmp_path: Path, name: str) -> None:
    path, mark = tmp_path / f"model{FORMATS.entry(name).suffix}", tmp_path / "ran"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps(Harm(mark)))
    for engine in ("auto", name):
        with pytest.raises(CheckpointError, match=r"can hold code.*--allow-code"):
            open_engine(path, engine=engine)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["openvino", "torchscript"])
def test_a_full_disk_leaves_nothing_new(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Neither half a file nor a temporary one; and what was there stays."""
    files(name)  # skips without the packages
    path = tmp_path / f"model{FORMATS.entry(name).suffix}"
    path.write_bytes(b"before")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(SegError, match=r"model\..*: cannot be written: No space left"):
        load_writer(name)(small_model(), card(), path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"before"


class Moody(SegmentationModel):
    """Adds 1 where a picture is wide: what it computes depends on sizes, as a model of somebody's may."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.Conv2d(3, len(NAMES), 1)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.encoder(images)
        return logits + 1 if images.shape[3] > images.shape[2] + 8 else logits


@pytest.mark.parametrize("name", ["openvino", "torchscript", "torch-export"])
def test_a_model_that_does_not_fit_every_size_is_refused(tmp_path: Path, name: str) -> None:
    for package in FORMATS.entry(name).needs:
        pytest.importorskip(package)
    about = ModelCard(card().classes, Preprocess(stride=8), "py:moody:Moody")
    path = tmp_path / f"model{FORMATS.entry(name).suffix}"
    with pytest.raises(RunError, match="py:moody:Moody"):
        load_writer(name)(Moody().eval(), about, path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("model", list(MODELS))
def test_every_model_in_every_format(tmp_path: Path, model: str) -> None:
    torch.manual_seed(0)
    built = build_model(model, 3, width=8 if MODELS.entry(model).has_width else None).eval()
    about = ModelCard(card().classes, Preprocess(), model)
    images = [pictures(1, 32, 32), pictures(2, 96, 64)]
    with torch.no_grad():
        expected = [built(about.preprocess.normalise(each)) for each in images]
    for name in WRITTEN:
        path = load_writer(name)(built, about, tmp_path / f"model{FORMATS.entry(name).suffix}")[0]
        ready = opened(path)
        for each, logits in zip(images, expected, strict=True):
            found = ready.logits(each)
            if model == "segnet":  # the last digit of two numbers can decide where a coarse value goes, and blur many
                assert (found.argmax(1) == logits.argmax(1)).float().mean() > 0.999, (name, each.shape)
            else:
                assert (found - logits).abs().max() <= 1e-4 * logits.abs().max(), (name, each.shape)
