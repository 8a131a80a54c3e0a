"""What `seg export` and `seg bench` say: the table, and refusals that come before anything is loaded."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.program import seg
from tests.exporting.scenes import photograph
from tests.runs.checkpoints import saved_checkpoint, tiny_checkpoint
from toolkit.engines.opening import open_engine
from toolkit.errors import UsageError
from toolkit.exporting.targets import find_checkpoint, require_name

pytest.importorskip("openvino")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    saved_checkpoint(tmp_path / "m.safetensors")
    (tmp_path / "photos").mkdir()
    Image.fromarray(photograph((50, 64))).save(tmp_path / "photos" / "a.png")
    return tmp_path


def rows(text: str) -> list[str]:
    lines = text.splitlines()
    return lines[[line.startswith("file ") for line in lines].index(True) :]


def test_the_table_has_the_reference_and_says_what_predicting_will_compute(folder: Path) -> None:
    done = seg(
        folder, "export", "--weights", "m.safetensors", "-f", "openvino", "--precision", "fp16", "--images", "photos"
    )
    head, reference, own, *others = rows(done.stdout)
    assert reference.startswith("m.safetensors") and "torch, plain, fp32" in reference and reference.endswith("1.00")
    name = str(Path("export", "unet-m-fp16.xml"))
    assert own.startswith(name) and " fp16 " in own and "openvino, fp32" in own
    predicting = open_engine(folder / name).precision
    if predicting == "fp32":
        assert not any("in seg predict" in line for line in others)
    else:
        assert others[0].startswith("  in seg predict") and f"openvino, {predicting}" in others[0]
        assert others[2].startswith("in seg predict: ")
        assert others[0].index(f"openvino, {predicting}") == head.index("computed by")
    assert "on 1 picture (photos)" in done.stdout


def test_both_comparisons_are_of_the_file_computed_so(folder: Path) -> None:
    """Counted by hand from what the engines give."""
    done = seg(folder, "export", "--weights", "m.safetensors", "-f", "openvino", "--images", "photos", "--json")
    (item,) = json.loads(done.stdout)["files"]
    saved = tiny_checkpoint()
    with Image.open(folder / "photos" / "a.png") as image:
        pixels = np.array(image)
    expected = saved.build()(saved.preprocess.apply(pixels)[None])[0, :, :50].detach()
    images = torch.from_numpy(saved.preprocess.fit(pixels))[None]

    for precision, told in (("fp32", item), ("auto", item["predicting"] or item)):
        engine = open_engine(folder / item["path"], precision=precision, device="cpu")
        found = engine.logits(images)[0, :, :50]
        assert told["engine"] == str(engine)
        assert told["agreement"] == pytest.approx(float((found.argmax(0) == expected.argmax(0)).float().mean()))
        apart = float((found - expected).abs().max() / expected.abs().max())
        assert told["largest_difference"] == pytest.approx(apart, rel=0.3, abs=1e-5)


def test_bench_counts_in_english(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.engines import ENGINES
    from toolkit.exporting import bench
    from toolkit.registry import Registry

    monkeypatch.setattr(bench, "ENGINES", Registry("engine", {"torch": ENGINES.entry("torch")}))
    before = torch.get_num_threads()
    for threads, rounds, words in ((1, 1, ("1 round on", "1 thread,")), (2, 2, ("2 rounds on", "2 threads,"))):
        torch.set_num_threads(threads)
        try:
            done = seg(
                folder, "bench", "--weights", "m.safetensors", "--size", "32", "--rounds", f"{rounds}", "--no-int8"
            )
        finally:
            torch.set_num_threads(before)
        assert all(word in done.stdout for word in words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("export", "--calibrate", "5"), "calibrate needs --int8"),
        (("export", "--calibrate", "32", "--precision", "fp32"), "calibrate needs --int8"),
        (("export", "--name", "../evil"), "name: the name of a file"),
        (("bench", "--classes", "5"), "classes needs --model"),
        (("bench", "--weights", "export/a.onnx"), "already exported. A checkpoint is needed here"),
        (("export", "export/a.xml"), "already exported"),
        (("export", "--weights", "export/a.bin"), "already exported"),
    ],
)
def test_what_cannot_be_is_refused_before_torch_works(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    from toolkit.runs.checkpoint import Checkpoint

    def read(*_: object) -> None:
        raise AssertionError("the checkpoint was read first")

    monkeypatch.setattr(Checkpoint, "load", read)
    (folder / "export").mkdir()
    for name in ("a.onnx", "a.xml", "a.bin"):
        (folder / "export" / name).touch()
    if "--weights" not in words and words[1] != "export/a.xml" and words[0] == "export":
        words = (*words, "--weights", "m.safetensors")
    assert says in seg(folder, *words, code=2).stderr


def test_weights_of_others_that_end_in_bin_are_not_called_exported(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").touch()
    assert find_checkpoint(None, tmp_path / "pytorch_model.bin").name == "pytorch_model.bin"


def test_a_name_is_one() -> None:
    require_name(None)
    require_name("häuser 1.5")
    for name in ("", "..", "a/b", "a\\b", "a\0", ".a"):
        with pytest.raises(UsageError, match="the name of a file"):
            require_name(name)
