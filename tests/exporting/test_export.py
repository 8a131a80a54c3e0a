"""Exporting: files that are compared before they are kept, and those that are not kept."""

import json
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.datasets import NAMES, stems_of, write_voc
from tests.runs.checkpoints import tiny_checkpoint
from tests.training.tiny import Listener
from toolkit.engines.base import ModelCard
from toolkit.engines.opening import Writer, load_writer, open_engine
from toolkit.errors import DataError, RunError, UsageError
from toolkit.exporting import export as exporting
from toolkit.exporting.export import export
from toolkit.exporting.options import ExportOptions
from toolkit.models.base import SegmentationModel
from toolkit.runs.folder import RunFolder

pytest.importorskip("ncnn")
pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

FEW = ExportOptions(check=2, calibrate=3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc(tmp_path_factory.mktemp("voc"), train=6, val=4)


@pytest.fixture
def run(tmp_path: Path, dataset: Path) -> RunFolder:
    """A run's folder as training leaves it, as far as exporting looks at it."""
    made = RunFolder(tmp_path / "train-1")
    made.best.parent.mkdir(parents=True)
    saved = tiny_checkpoint(NAMES, dataset=str(dataset))
    saved.save(made.best)
    made.config.write_text(saved.config.to_yaml(), encoding="utf-8")
    return made


@pytest.fixture(scope="module", autouse=True)
def files_are_written_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """PyTorch's exporter takes seconds, ncnn's a process; all runs here have the same weights."""
    from toolkit.engines import ncnn_file, onnx_file

    with pytest.MonkeyPatch.context() as patch:
        for module, suffix in ((onnx_file, ".onnx"), (ncnn_file, ".ncnn.param")):
            patch.setattr(module, "write", once(module.write, suffix, tmp_path_factory.mktemp("written")))
        yield


def once(write: Writer, suffix: str, folder: Path) -> Writer:
    """A writer that copies what `write` made of the same model before, under the name that is asked for."""
    made: dict[str, tuple[Path, ...]] = {}

    def copied(model: SegmentationModel, card: ModelCard, path: Path) -> tuple[Path, ...]:
        weights = b"".join(value.numpy().tobytes() for value in model.state_dict().values())
        key = f"{card.as_json()} {zlib.crc32(weights)}"
        if key not in made:
            made[key] = write(model, card, folder / f"{len(made)}" / f"kept{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        stem = path.name.removesuffix(suffix)
        return tuple(
            Path(shutil.copy(kept, path.parent / f"{stem}{kept.name.removeprefix('kept')}")) for kept in made[key]
        )

    return copied


def test_every_file_is_compared_and_opens_again(run: RunFolder, dataset: Path) -> None:
    listener = Listener()
    report = export(run=run.root, formats=("ncnn", "openvino"), options=FEW, progress=listener)
    ncnn, openvino = report.files
    assert ncnn.path == run.root / "export" / "unet.ncnn.param"
    assert openvino.path == run.root / "export" / "unet.xml"
    left = {path.name for path in (run.root / "export").iterdir()}
    assert left == {"unet.ncnn.param", "unet.ncnn.bin", "unet.ncnn.json", "unet.xml", "unet.bin"}
    assert (report.pictures, report.real, report.origin) == (2, True, f"val images of {dataset}")
    assert not listener.warned

    model, images = tiny_checkpoint(NAMES).build(), torch.randint(0, 256, (1, 64, 32, 3), dtype=torch.uint8)
    card = tiny_checkpoint(NAMES)
    with torch.inference_mode():
        expected = model(card.preprocess.normalise(images))
    for item in report.files:
        assert item.agreement >= 0.999 and item.worst_agreement <= item.agreement
        assert 0 < item.difference < 1e-3
        assert item.size == sum(path.stat().st_size for path in item.files)
        assert item.miou == pytest.approx(report.miou, abs=1e-3)
        found = open_engine(item.path, precision="fp32").logits(images)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert json.loads(json.dumps(report.as_dict()))["files"][0]["format"] == "ncnn"


def test_the_miou_is_that_of_the_masks(run: RunFolder, dataset: Path) -> None:
    """Counted here by hand, class by class, over all validation pictures."""
    report = export(run=run.root, formats=("ncnn",), options=replace(FEW, check=4))
    model, preprocess = tiny_checkpoint(NAMES).build(), tiny_checkpoint(NAMES).preprocess
    hits, unions = np.zeros(len(NAMES)), np.zeros(len(NAMES))
    for stem in stems_of(dataset, "val"):
        with Image.open(dataset / "JPEGImages" / f"{stem}.png") as image:
            pixels = np.array(image)
        with Image.open(dataset / "SegmentationClass" / f"{stem}.png") as image:
            truth = np.array(image)
        with torch.inference_mode():
            found = preprocess.undo(model(preprocess.apply(pixels)[None])[0], pixels.shape[:2])
        for k in range(len(NAMES)):
            a, b = (truth == k), (found == k) & (truth != 255)
            hits[k] += (a & b).sum()
            unions[k] += (a | b).sum()
    assert report.miou == pytest.approx((hits / unions).mean())
    assert report.files[0].miou == pytest.approx((hits / unions).mean(), abs=1e-3)


def test_nothing_is_replaced_unasked(run: RunFolder) -> None:
    folder = run.root / "export"
    folder.mkdir()
    precious = folder / "unet.ncnn.bin"  # not the main file: known only when it is written
    precious.write_text("mine")
    with pytest.raises(UsageError, match=r"unet\.ncnn\.bin: exists already. Use --overwrite"):
        export(run=run.root, formats=("ncnn",), options=FEW)
    assert [path.name for path in folder.iterdir()] == ["unet.ncnn.bin"]
    assert precious.read_text() == "mine"
    export(run=run.root, formats=("ncnn",), options=replace(FEW, overwrite=True))
    with pytest.raises(UsageError, match=r"unet\.ncnn\.param: exists already"):
        export(run=run.root, formats=("ncnn",), options=FEW)


def test_a_file_that_computes_something_else_is_not_kept(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    good = export(run=run.root, formats=("openvino",), options=FEW).files[0]
    before = good.path.read_bytes()

    def with_classes_mixed_up(kind: str) -> Callable[..., tuple[Path, ...]]:
        write = load_writer(kind)

        def written(model: torch.nn.Module, card: object, path: Path) -> tuple[Path, ...]:
            if kind == "openvino":
                model.load_state_dict(
                    {k: v.flip(0) if k.startswith("head.") else v for k, v in model.state_dict().items()}
                )
            try:
                return write(model, card, path)  # type: ignore[arg-type]
            finally:
                model.load_state_dict(tiny_checkpoint(NAMES).weights)

        return written

    monkeypatch.setattr(exporting, "load_writer", with_classes_mixed_up)
    with pytest.raises(RunError, match=r"unet\.xml: not kept.*another class.*Kept: .*unet\.ncnn\.param"):
        export(run=run.root, formats=("openvino", "ncnn"), options=replace(FEW, overwrite=True))
    assert good.path.read_bytes() == before
    assert not list((run.root / "export").glob(".*"))


def test_int8_is_small_and_its_price_is_told(run: RunFolder) -> None:
    options = replace(FEW, precision="int8", tolerance=0.6)  # random weights: a hair's breadth between classes
    report = export(run=run.root, formats=("onnx", "openvino"), options=options)
    assert report.calibrated_on == 3
    assert report.miou is not None
    for item in report.files:
        assert item.path.stem == "unet-int8" and item.precision == "int8"
        weights = [path for path in item.files if path.suffix != ".xml"]
        assert sum(path.stat().st_size for path in weights) < 0.6 * run.best.stat().st_size
        assert item.difference > 1e-4 and item.agreement > 0.4 and item.miou is not None
        engine = open_engine(item.path)
        assert engine.precision == "int8" and engine.card.precision == "int8"
    with pytest.raises(RunError, match="not kept"):
        export(run=run.root, formats=("onnx",), name="strict", options=replace(options, tolerance=0.0))
    assert not list((run.root / "export").glob("strict*"))


def test_without_its_dataset_the_pictures_are_invented_and_that_is_said(run: RunFolder, tmp_path: Path) -> None:
    saved = replace(tiny_checkpoint(NAMES), config=replace(tiny_checkpoint().config, dataset=str(tmp_path / "gone")))
    weights = tmp_path / "mine.safetensors"
    saved.save(weights)
    listener = Listener()
    report = export(weights=weights, formats=("ncnn",), options=FEW, progress=listener)
    assert not report.real and report.miou is None
    assert "invented pictures" in listener.warned[0]
    assert report.files[0].path == tmp_path / "export" / "unet-mine.ncnn.param"
    with pytest.raises(DataError, match="--images DIR"):
        export(weights=weights, formats=("onnx",), options=replace(FEW, precision="int8"))


def test_a_folder_of_pictures_with_a_broken_one(run: RunFolder, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"\x89PNG no picture")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)).save(folder / "b.png")
    listener = Listener()
    report = export(run=run.root, formats=("ncnn",), images=folder, options=FEW, progress=listener)
    assert (report.pictures, report.miou, report.origin) == (1, None, str(folder))
    assert "a.png" in listener.warned[0] and "Left out" in listener.warned[0]
    (folder / "b.png").unlink()
    with pytest.raises(DataError, match="none of 1 pictures could be read"):
        export(run=run.root, formats=("ncnn",), images=folder, name="other", options=FEW)


def test_a_missing_package_names_the_line_that_installs_it(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "toolkit.exporting.int8.onnx_int8", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", None)
    with pytest.raises(UsageError, match=r'pip install "seg-toolkit\[export\]"'):
        export(run=run.root, formats=("onnx",), options=replace(FEW, precision="int8"))
    assert not (run.root / "export").exists()


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a\\b", ".hidden", ".."])
def test_a_name_leads_nowhere_else(run: RunFolder, name: str) -> None:
    with pytest.raises(UsageError, match="the name of a file"):
        export(run=run.root, formats=("ncnn",), name=name, options=FEW)


def test_what_a_format_cannot_hold_is_refused_before_anything_is_written(run: RunFolder) -> None:
    for options, formats, words in (
        (replace(FEW, precision="int8"), ("ncnn",), "ncnn files are not written in int8"),
        (replace(FEW, precision="fp16"), ("onnx",), "onnx files are not written in fp16"),
        (replace(FEW, raw_input=True), ("openvino", "ncnn"), "cannot be put into ncnn"),
        (FEW, ("onix",), "Did you mean 'onnx'"),
        (FEW, (), "name at least one"),
    ):
        with pytest.raises(UsageError, match=words):
            export(run=run.root, formats=formats, options=options)
    assert not (run.root / "export").exists()
