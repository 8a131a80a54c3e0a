"""ncnn files: what they compute, against PyTorch; and what becomes of damaged ones."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.runs.checkpoints import tiny_checkpoint
from toolkit.engines.base import ModelCard
from toolkit.errors import CheckpointError, RunError, UsageError
from toolkit.labels.classmap import ClassMap
from toolkit.models.base import SegmentationModel

pytest.importorskip("ncnn")
pytest.importorskip("pnnx")

from toolkit.engines.naming import weights_of
from toolkit.engines.ncnn_engine import card_of, checksums, open_model
from toolkit.engines.ncnn_file import write

NAMES = ("_background_", "Straße", "木")


@pytest.fixture(scope="module")
def tiny() -> tuple[SegmentationModel, ModelCard]:
    saved = tiny_checkpoint(NAMES)
    return saved.build(), ModelCard(saved.classes, saved.preprocess, "unet")


@pytest.fixture(scope="module")
def written(tiny: tuple[SegmentationModel, ModelCard], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that nobody changes."""
    path = tmp_path_factory.mktemp("ncnn") / "häuser 1.ncnn.param"
    assert write(*tiny, path) == (path, weights_of(path), card_of(path))
    return path


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    for path in (written, weights_of(written), card_of(written)):
        shutil.copy(path, tmp_path)
    return tmp_path / written.name


def pictures(*size: int) -> torch.Tensor:
    return torch.randint(0, 256, (*size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def expected(tiny: tuple[SegmentationModel, ModelCard], images: torch.Tensor) -> torch.Tensor:
    model, card = tiny
    with torch.inference_mode():
        logits: torch.Tensor = model(card.preprocess.normalise(images))
    return logits


@pytest.mark.parametrize("size", [(1, 32, 32), (2, 64, 160), (1, 224, 96)])
def test_it_computes_what_pytorch_does(
    tiny: tuple[SegmentationModel, ModelCard], written: Path, size: tuple[int, ...]
) -> None:
    images = pictures(*size)
    engine = open_model(written)
    torch.testing.assert_close(engine.logits(images), expected(tiny, images), rtol=1e-4, atol=1e-4)
    assert (engine.name, engine.precision) == ("ncnn", "fp32")
    assert engine.card == tiny[1]


def test_bf16_is_close(tiny: tuple[SegmentationModel, ModelCard], written: Path) -> None:
    images = pictures(1, 64, 96)
    found, exact = open_model(written, precision="bf16").logits(images), expected(tiny, images)
    difference = float((found - exact).abs().max() / exact.abs().max())
    assert 1e-5 < difference < 0.1  # another precision indeed, but the same network


def test_fp16_files_have_half_the_size(
    tiny: tuple[SegmentationModel, ModelCard], written: Path, tmp_path: Path
) -> None:
    model, card = tiny
    path = tmp_path / "half.ncnn.param"
    write(model, replace(card, precision="fp16"), path)
    assert weights_of(path).stat().st_size < 0.6 * weights_of(written).stat().st_size
    images = pictures(1, 32, 64)
    found, exact = open_model(path).logits(images), expected(tiny, images)
    assert float((found - exact).abs().max() / exact.abs().max()) < 0.01


def test_several_threads_share_an_engine(tiny: tuple[SegmentationModel, ModelCard], written: Path) -> None:
    engine = open_model(written)
    batches = [pictures(1, 32, 32 * (1 + index % 3)) for index in range(12)]
    with ThreadPoolExecutor(4) as pool:
        for images, found in zip(batches, pool.map(engine.logits, batches), strict=True):
            torch.testing.assert_close(found, expected(tiny, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("which", [0, 1])
def test_a_damaged_file_is_refused(copied: Path, which: int) -> None:
    path = (copied, weights_of(copied))[which]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="do not belong together"):
        open_model(copied)


@pytest.mark.parametrize("which", [weights_of, card_of])
def test_a_missing_companion_is_named(copied: Path, which: object) -> None:
    path = weights_of(copied) if which is weights_of else card_of(copied)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"häuser 1\.ncnn\.(bin|json): cannot be read"):
        open_model(copied)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_network_of_nonsense_is_refused_before_ncnn_reads_it(written: Path, data: st.DataObject) -> None:
    """Even with checksums that fit: whoever writes the one can write the other."""
    lines = written.read_text().split("\n")
    index = data.draw(st.integers(0, len(lines) - 2))
    words = lines[index].split()
    word = data.draw(st.integers(0, min(3, len(words) - 1)))
    words[word] = data.draw(st.sampled_from(["99999999999", "-1", "x" * 300, "", "7", "in0"]))
    changed = "\n".join([*lines[:index], " ".join(words), *lines[index + 1 :]])
    folder = written.parent / "nonsense"
    folder.mkdir(exist_ok=True)
    path = folder / written.name
    path.write_text(changed)
    shutil.copy(weights_of(written), folder)
    about = json.loads(card_of(written).read_text("utf-8"))
    about["checksums"] = checksums(path.read_bytes(), weights_of(path).read_bytes())
    card_of(path).write_text(json.dumps(about), "utf-8")
    if word < 2 and index > 1 and len(words[word]) in range(1, 100):
        return  # another layer type or name is for ncnn to judge
    try:
        open_model(path)
    except CheckpointError as error:
        assert str(path) in str(error)
    else:
        assert words[word] == lines[index].split()[word]


def test_what_it_cannot_hold_is_refused(
    tiny: tuple[SegmentationModel, ModelCard], written: Path, tmp_path: Path
) -> None:
    model, card = tiny
    path = tmp_path / "m.ncnn.param"
    with pytest.raises(UsageError, match="preprocessing"):
        write(model, replace(card, raw_input=True), path)
    with pytest.raises(UsageError, match="not int8"):
        write(model, replace(card, precision="int8"), path)
    with pytest.raises(UsageError, match="cpu"):
        open_model(written, device="cuda")
    with pytest.raises(UsageError, match="fp32 or bf16"):
        open_model(written, precision="fp16")
    assert not list(tmp_path.iterdir())


class Untranslatable(SegmentationModel):
    """ncnn knows no batches: a mean over the first axis of a stack ends its process."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 3, 3, padding=1)

    def decode(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.encoder(images)
        return torch.stack([found, 2 * found]).mean(0)


class Untraceable(Untranslatable):
    def decode(self, images: torch.Tensor) -> torch.Tensor:
        raise ValueError("decides by what it sees")


@pytest.mark.parametrize("model", [Untranslatable(), Untraceable()])
def test_a_model_that_ncnn_cannot_compute_leaves_nothing(model: SegmentationModel, tmp_path: Path) -> None:
    card = ModelCard(ClassMap(NAMES), tiny_checkpoint().preprocess, "py:mine:model")
    with pytest.raises(RunError, match=r"ncnn: .*py:mine:model.* Choose another format"):
        write(model.eval(), card, tmp_path / "m.ncnn.param")
    assert not list(tmp_path.iterdir())


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
