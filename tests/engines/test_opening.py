import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engines.small import Files, pictures, saved, truth
from tests.runs.checkpoints import saved_checkpoint
from toolkit.engines import ENGINES, FORMATS
from toolkit.engines.naming import format_of
from toolkit.engines.opening import find_model, load_writer, open_engine
from toolkit.errors import CheckpointError, UsageError
from toolkit.progress import Progress


class Lines(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return saved(tmp_path / "best.safetensors")


def test_a_checkpoint_and_its_run_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    path = saved(tmp_path / "weights" / "best.safetensors")
    images = pictures(1, 16, 24)
    for given in (path, tmp_path):
        engine = open_engine(given, precision="fp32", device="cpu")
        assert engine.name == "torch"
        assert torch.allclose(engine.logits(images), truth(images), atol=1e-4)


def test_a_folder_with_one_model_stands_for_it(files: Files) -> None:
    path = files("openvino")[0]
    assert find_model(path.parent) == path
    assert open_engine(path.parent).name == "openvino"


@pytest.mark.parametrize(
    ("names", "says"), [((), "no model"), (("a.onnx", "b.XML", "a.bin"), "2 models: a.onnx, b.XML")]
)
def test_a_folder_with_none_or_several_is_refused(tmp_path: Path, names: tuple[str, ...], says: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=says):
        open_engine(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.onnx", "onnx"),
        ("A.ONNX", "onnx"),
        ("a.xml", "openvino"),
        ("a.param", "ncnn"),
        ("a.ncnn.param", "ncnn"),
        ("a.torchscript", "torchscript"),
        ("a.pt2", "torch-export"),
        ("a.safetensors", None),
        ("a.pt", None),
        ("onnx", None),
    ],
)
def test_formats_are_told_by_the_end_of_the_name(name: str, kind: str | None) -> None:
    assert format_of(Path(name)) == kind


@pytest.mark.parametrize("engine", ["openvino", "torchscript"])
def test_a_checkpoint_is_converted_on_the_fly(checkpoint: Path, engine: str) -> None:
    for package in ENGINES.entry(engine).needs:
        pytest.importorskip(package)
    before = set(checkpoint.parent.iterdir())
    heard, images = Lines(), pictures(2, 16, 24)
    ready = open_engine(checkpoint, engine=engine, precision="fp32", device="cpu", progress=heard)
    assert ready.name == engine
    assert torch.allclose(ready.logits(images), truth(images), atol=2e-4)
    assert len(heard.lines) == 1
    assert "seg export" in heard.lines[0]
    assert set(checkpoint.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"engine": "onnx-runtime"}, "Did you mean 'onnxruntime'"),
        ({"precision": "fp64"}, "precision 'fp64' is not known"),
        ({"engine": "openvino", "precision": "int8"}, "seg export --int8"),
        ({"device": "tpu"}, "tpu"),
        ({"engine": "onnxruntime", "precision": "bf16"}, "computes in fp32, not in bf16"),
    ],
)
def test_what_cannot_be_is_refused(checkpoint: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        open_engine(checkpoint, **given)


def test_an_engine_refuses_formats_that_it_does_not_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"torch does not read onnx files\. Use onnxruntime or openvino"):
        open_engine(tmp_path / "model.onnx", engine="torch")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_missing_package_names_the_line_that_installs_it(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, ENGINES.entry(name).target.partition(":")[0], raising=False)
    with pytest.raises(UsageError, match=r'pip install "seg-toolkit\[export\]"'):
        open_engine(checkpoint, engine=name)


def test_a_missing_converter_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r'onnxscript is needed.*pip install "seg-toolkit\[export\]"'):
        load_writer("onnx")


def test_a_checkpoint_of_somebodys_code_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.runs.checkpoints import tiny_checkpoint
    from toolkit.runs.config import TrainConfig

    checkpoint = tiny_checkpoint()
    foreign = type(checkpoint)(
        config=TrainConfig(model="py:surprise:build", size=64),
        spec=type(checkpoint.spec)(len(checkpoint.classes)),
        classes=checkpoint.classes,
        preprocess=checkpoint.preprocess,
        weights=checkpoint.weights,
    )
    foreign.save(tmp_path / "best.safetensors")
    (tmp_path / "surprise.py").write_text("raise SystemExit('was run')")
    monkeypatch.chdir(tmp_path)
    for engine in ("auto", "torchscript"):
        with pytest.raises(CheckpointError, match=r"best\.safetensors: .*--allow-code"):
            open_engine(tmp_path / "best.safetensors", engine=engine)


def test_two_engines_of_one_checkpoint_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = saved_checkpoint(tmp_path / "best.safetensors")
    exact = open_engine(path, precision="fp32", device="cpu")
    images = pictures(1, 32, 32)
    before = exact.logits(images)
    open_engine(path, precision="bf16", device="cpu").logits(images)
    assert torch.equal(exact.logits(images), before)


def test_tables_name_only_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every format has an engine, and every engine's formats are in the table; both are listed without torch."""
    readable = {kind for name in ENGINES for kind in ENGINES.entry(name).reads}
    assert readable == set(FORMATS)
