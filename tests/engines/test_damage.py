"""Files that are damaged, incomplete, named by mistake or made to deceive: said, in words with a way out, before use."""

import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engines.small import NAMES, PREPROCESS, Files, card, pictures, small_model, truth
from tests.runs.checkpoints import tiny_checkpoint
from toolkit.data.preprocess import Preprocess
from toolkit.engines import onnx_file
from toolkit.engines.base import ModelCard
from toolkit.engines.naming import companions_of, main_of
from toolkit.engines.opening import load_writer, open_engine
from toolkit.errors import CheckpointError, RunError, SegError
from toolkit.labels.classmap import ClassMap
from toolkit.models.base import SegmentationModel
from toolkit.prediction.folder.fingerprint import checksum_of

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")
pytest.importorskip("ncnn")


class OneLayer(SegmentationModel):
    """PyTorch's ONNX exporter is slow; this is the least that it can be given."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.Conv2d(3, len(NAMES), 1)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.encoder(images)
        return logits


@pytest.fixture(scope="module")
def whole(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.onnx, model.xml with its .bin, and model.ncnn.param with its two."""
    folder = tmp_path_factory.mktemp("whole")
    for name in ("openvino", "ncnn"):
        for path in files(name):
            shutil.copy(path, folder)
    load_writer("onnx")(
        OneLayer().eval(), ModelCard(card().classes, Preprocess(stride=8), "one"), folder / "model.onnx"
    )
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to harm."""
    return Path(shutil.copytree(whole, tmp_path / "exported"))


def flip(path: Path, where: int) -> None:
    data = bytearray(path.read_bytes())
    data[where] ^= 16
    path.write_bytes(data)


def refusal(path: Path, **how: Any) -> str:
    """The one line or two with which a file is refused; no other kind of exception will do."""
    with pytest.raises(SegError) as found:
        open_engine(path, device="cpu", **how)
    text = str(found.value)
    assert not re.search(r"\.(cpp|hpp|cc|h):\d|Error\(|\n", text), text
    return text


@pytest.mark.parametrize(
    ("main", "harmed", "engine"),
    [
        ("model.onnx", "model.onnx", "onnxruntime"),
        ("model.onnx", "model.onnx", "openvino"),
        ("model.xml", "model.xml", "openvino"),
        ("model.xml", "model.bin", "openvino"),
    ],
)
def test_one_bit_anywhere_is_found(folder: Path, main: str, harmed: str, engine: str) -> None:
    """No runtime looks: the model would give other classes and say nothing."""
    before = (folder / harmed).read_bytes()
    for where in (20, len(before) // 2, len(before) - 20):
        flip(folder / harmed, where)
        assert f"{folder / harmed}: damaged" in refusal(folder / main, engine=engine)
        (folder / harmed).write_bytes(before)
    assert open_engine(folder / main, engine=engine, device="cpu").name == engine


def test_a_flipped_weight_of_onnx_is_found(folder: Path) -> None:
    """Where the runtime itself sees nothing wrong."""
    import onnxruntime

    path = folder / "model.onnx"
    (weights,) = (item for item in onnx.load(path).graph.initializer if list(item.dims) == [len(NAMES), 3, 1, 1])
    flip(path, path.read_bytes().index(onnx.numpy_helper.to_array(weights).tobytes()) + 2)
    onnxruntime.InferenceSession(str(path))
    assert "damaged" in refusal(path)


def test_the_checksum_is_as_documented(folder: Path) -> None:
    """By hand: docs/export.md."""
    for path, weights in ((folder / "model.onnx", None), (folder / "model.xml", folder / "model.bin")):
        data = path.read_bytes()
        ((own, other, length),) = re.findall(rb"crc32:(\w{8}):([\w-]{8}):(\w{12})", data)
        assert int(length, 16) == len(data)
        assert int(own, 16) == zlib.crc32(data.replace(b"crc32:" + own, b"crc32:00000000"))
        assert other == (b"--------" if weights is None else f"{zlib.crc32(weights.read_bytes()):08x}".encode())
    assert json.loads(onnx.load(folder / "model.onnx").metadata_props[0].value)["checksum"].startswith("crc32:")


def test_weights_of_another_model_are_not_taken(folder: Path) -> None:
    """Same size, same form: only the numbers are others."""
    other = np.frombuffer((folder / "model.bin").read_bytes(), np.uint8)[::-1]
    (folder / "model.bin").write_bytes(other.tobytes())
    assert "not the file that belongs to model.xml" in refusal(folder / "model.xml")


def test_files_without_a_checksum_and_rewritten_ones_are_used(folder: Path) -> None:
    """Older versions wrote none; another program that simplifies a graph does not know of it."""
    images = pictures(1, 8, 8)
    path = folder / "model.xml"
    text = path.read_text(encoding="utf-8")
    for changed in (re.sub(r"&quot;checksum&quot;: &quot;crc32:[^&]*&quot;, ", "", text), text + "\n"):
        assert changed != text
        path.write_text(changed, encoding="utf-8")
        assert torch.allclose(open_engine(path, precision="fp32").logits(images), truth(images), atol=2e-4)


def test_int8_files_are_sealed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path) -> None:
    from toolkit.exporting.int8 import load_int8
    from toolkit.exporting.pictures import invented_pictures
    from toolkit.progress import SILENT

    def copied(model: SegmentationModel, about: ModelCard, path: Path) -> tuple[Path, ...]:
        shutil.copy(whole / "model.onnx", path)
        return (path,)

    monkeypatch.setattr(onnx_file, "write", copied)
    about = ModelCard(card().classes, Preprocess(size=64, stride=8), "one", precision="int8")
    path = tmp_path / "small.xml"
    load_int8("openvino")(OneLayer(), about, path, invented_pictures(1).check, SILENT)
    assert open_engine(path).card == about
    flip(path.with_suffix(".bin"), 3)
    assert "small.bin: damaged" in refusal(path)
    path = tmp_path / "small.onnx"
    load_int8("onnx")(OneLayer(), about, path, invented_pictures(1).check, SILENT)
    assert open_engine(path).card == about
    flip(path, len(path.read_bytes()) // 2)
    assert "small.onnx: damaged" in refusal(path)


@pytest.mark.parametrize("name", ["torchscript", "torch-export"])
def test_bits_of_torch_files_that_pass_change_nothing(files: Files, tmp_path: Path, name: str) -> None:
    """All that counts is under the checksums of the archive; the rest of its headers may pass."""
    images = pictures(1, 8, 8)
    data = files(name)[0].read_bytes()
    with zipfile.ZipFile(files(name)[0]) as archive:
        starts = [entry.header_offset for entry in archive.infolist()]
    path = tmp_path / files(name)[0].name
    for where in (*(starts[0] + step for step in (8, 28)), *np.random.default_rng(0).integers(0, len(data), 12)):
        path.write_bytes(data)
        flip(path, int(where))
        try:
            logits = open_engine(path, precision="fp32", device="cpu", allow_code=True).logits(images)
        except CheckpointError as error:
            assert str(path) in str(error)
        else:
            assert torch.allclose(logits, truth(images), atol=2e-4)


@pytest.mark.parametrize(
    ("named", "gone", "words"),
    [
        ("model.bin", (), r"belongs to model\.xml\. Name that: .*model\.xml"),
        ("model.ncnn.bin", (), r"belongs to model\.ncnn\.param\. Name that"),
        ("model.ncnn.json", (), r"belongs to model\.ncnn\.param\. Name that"),
        ("model.bin", ("model.xml",), r"is no model by itself, and model\.xml.*export the model again"),
        (
            "model.xml",
            ("model.bin",),
            r"model\.bin: cannot be read: there is no such file\. model\.xml, model\.bin belong together",
        ),
        (
            "model.ncnn.param",
            ("model.ncnn.bin",),
            r"model\.ncnn\.bin: cannot be read: there is no such file\. .* belong together",
        ),
        (
            "model.ncnn.param",
            ("model.ncnn.json",),
            r"model\.ncnn\.json: cannot be read: there is no such file\..*copy it beside",
        ),
        ("gone.bin", (), r"gone\.bin: there is no such"),
    ],
)
def test_a_part_of_a_model_leads_to_the_whole(folder: Path, named: str, gone: tuple[str, ...], words: str) -> None:
    for name in gone:
        (folder / name).unlink()
    assert re.search(words, refusal(folder / named))


def test_what_belongs_to_a_model_is_told_by_its_name() -> None:
    for name, main in (
        ("a.ncnn.bin", "a.ncnn.param"),
        ("a.b.bin", "a.b.xml"),
        ("a.onnx.data", "a.onnx"),
        ("a.onnx", None),
        ("a.safetensors", None),
        (".bin", None),
    ):
        assert main_of(Path("x", name)) == (main and Path("x", main))


@pytest.mark.parametrize(
    ("main", "others"),
    [
        ("a.onnx", ("a.onnx.data",)),
        ("A.XML", ("A.bin",)),
        ("a.ncnn.param", ("a.ncnn.bin", "a.ncnn.json")),
        ("a.param", ("a.ncnn.bin", "a.ncnn.json")),
        ("A.Ncnn.PARAM", ("A.ncnn.bin", "A.ncnn.json")),
        ("a.bin.safetensors", ()),
    ],
)
def test_other_weights_make_another_model(tmp_path: Path, main: str, others: tuple[str, ...]) -> None:
    """Whatever other programs, or people, call the files; a run of predictions is gone on with by this sum."""
    path = tmp_path / main
    path.touch()
    assert companions_of(path) == tuple(tmp_path / name for name in others)
    sums = {checksum_of(path)}
    for other in others:
        (tmp_path / other).write_bytes(b"1")
        sums.add(checksum_of(path))
        found = main_of(tmp_path / other)
        assert found is not None and found.samefile(path)
    assert len(sums) == 1 + len(others)


@pytest.mark.parametrize("name", ["model.onnx", "model.xml", "model.ncnn.param"])
@pytest.mark.parametrize(
    "harm", [lambda data: data[: len(data) // 2], lambda data: bytes(len(data)), lambda data: b"PK"]
)
def test_half_a_file_zeros_and_others_have_a_way_out(
    folder: Path, name: str, harm: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    path = folder / name
    path.write_bytes(harm(path.read_bytes()))
    for engine in ("auto", *(["openvino"] if name == "model.onnx" else [])):
        text = refusal(path, engine=engine)
        assert text.startswith(f"{path}: ") and re.search("xport (it|the model) again", text)
    assert capfd.readouterr() == ("", "")  # what runtimes say by themselves is for their makers


GOOD: dict[str, Any] = json.loads(card().as_json())
NO_NAMES = ("", " ", "c\nd", "b\x1b[2J", "a ", "\ud800", "\u202ea")
CHANGES: list[tuple[Any, str]] = [
    ([1, 2], "another kind of value"),
    (float("nan"), "another kind of value"),
    (GOOD | {"format": [1]}, "its format is no number"),
    (GOOD | {"format": 99}, "Update seg-toolkit"),
    ({"format": 1}, "'classes' is missing"),
    (GOOD | {"preprocess": [1]}, "another kind of value"),
    (GOOD | {"preprocess": PREPROCESS.as_dict() | {"mean": [float("nan")] * 3}}, "no numbers"),
    (GOOD | {"precision": {"a": 1}}, "its precision is none of fp32"),
    (GOOD | {"raw_input": "no"}, "neither true nor false"),
    (GOOD | {"model": "unet\x1b[2J"}, "its model is no name"),
    (GOOD | {"classes": "abc"}, "no list of names"),
    (GOOD | {"classes": ["a", 3, "b"]}, "no list of names"),
    (GOOD | {"classes": ["a", "b", "a"]}, "class 'a' is listed twice"),
    *((GOOD | {"classes": ["_background_", "a", name]}, "the name of class 2") for name in NO_NAMES),
]


@pytest.mark.parametrize(("about", "words"), CHANGES)
def test_a_description_that_cannot_be_is_damaged(about: Any, words: str) -> None:
    with pytest.raises(CheckpointError) as found:
        ModelCard.from_json(json.dumps(about), Path("theirs.onnx"))
    text = str(found.value)
    assert text.startswith("theirs.onnx: its description") and words in text
    assert text.isprintable() and "Error(" not in text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(GOOD)), inner, max_size=4),
        max_leaves=6,
    ),
    st.sampled_from(sorted(GOOD)),
)
def test_no_description_ends_in_anything_but_a_card_or_a_message(value: Any, key: str) -> None:
    for text in (json.dumps(value), json.dumps(GOOD | {key: value}), "[" * 10_000):
        try:
            found = ModelCard.from_json(text, Path("theirs.onnx"))
        except CheckpointError as error:
            assert str(error).startswith("theirs.onnx: ")
        else:
            assert ModelCard.from_json(found.as_json(), Path("again")) == found


def test_names_in_a_checkpoint_are_under_the_same_rules(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    tiny_checkpoint(("_background_", "c\nd")).save(path)
    text = refusal(path)
    assert "the name of class 1" in text and "Use another checkpoint" in text


def test_onnx_says_that_pytorch_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.7.1+cpu")
    with pytest.raises(RunError, match=r"onnx: needs PyTorch 2\.8 or newer, this is 2\.7\.1\+cpu\. Update it"):
        onnx_file.write(small_model(), card(), tmp_path / "model.onnx")


def test_a_class_may_be_called_like_a_checksum(tmp_path: Path) -> None:
    names = ("crc32:00000000:00000000:000000000000", "crc32:12345678:--------:000000000001", "c")
    path = tmp_path / "model.xml"
    load_writer("openvino")(OneLayer().eval(), ModelCard(ClassMap(names), Preprocess(stride=8), "one"), path)
    assert open_engine(path).card.classes.names == names
