"""Samples and batches: what is read, in which order, and that nothing depends on processes."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.datasets import mask_of, stems_of, write_mask, write_voc
from toolkit.data.dataset import Batch, TrainingSamples, VocSamples
from toolkit.data.loaders import TrainingLoader
from toolkit.data.preprocess import Preprocess
from toolkit.data.transforms import AUGMENTS
from toolkit.errors import DatasetError, ImageError, SegError
from toolkit.voc.folder import VocFolder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc(tmp_path_factory.mktemp("voc"), train=7, val=2)


def samples(root: Path, seed: int = 0, augment: str = "default") -> TrainingSamples:
    found = VocSamples(VocFolder(root), tuple(stems_of(root, "train")))
    return TrainingSamples(found, Preprocess(size=32), AUGMENTS[augment], seed)


def loader(root: Path, *, seed: int = 0, batch: int = 3, workers: int = 0) -> TrainingLoader:
    return TrainingLoader(samples(root, seed), batch, workers, pin_memory=False)


def same(ours: Iterable[Batch], theirs: Iterable[Batch]) -> bool:
    pairs = list(zip(ours, theirs, strict=True))
    return bool(pairs) and all(
        a.stems == b.stems and torch.equal(a.images, b.images) and torch.equal(a.targets, b.targets) for a, b in pairs
    )


def test_a_sample_is_picture_and_mask_as_stored(root: Path) -> None:
    sample = samples(root).samples[2]
    assert sample.stem == "pic_2"
    assert np.array_equal(sample.mask, mask_of(root, "pic_2"))
    assert sample.image.shape == (*sample.mask.shape, 3)
    disc = sample.image[sample.mask == 1].mean(0)
    assert disc[0] > 180 and disc[2] < 100, "RGB: the disc is painted red"


def test_a_mask_of_another_size_is_refused_by_name_with_both_sizes(tmp_path: Path) -> None:
    write_voc(tmp_path, train=1)
    write_mask(tmp_path, "pic_0", np.zeros((40, 50), np.uint8))
    with pytest.raises(DatasetError, match=r"pic_0\.png: the picture has 48 x 40 pixels, its mask 50 x 40"):
        VocSamples(VocFolder(tmp_path), ("pic_0",))[0]


def test_a_draw_depends_on_seed_epoch_and_index_alone(root: Path) -> None:
    def view(seed: int, epoch: int, index: int) -> torch.Tensor:
        item = samples(root, seed)[epoch, index]
        assert not isinstance(item, SegError)
        return item[0]

    kept = view(0, 3, 1)
    np.random.default_rng(5).random(10)
    torch.manual_seed(8)
    again = samples(root)
    for other in ((0, 0), (3, 4), (3, 1)):
        last = again[other]
    assert not isinstance(last, SegError)
    assert torch.equal(last[0], kept), "what was drawn before does not matter"
    assert not torch.equal(view(1, 3, 1), kept)
    assert not torch.equal(view(0, 4, 1), kept)


def test_batches_have_their_types_and_padding_is_ignore(root: Path) -> None:
    for batch in loader(root).epoch(0):
        n = len(batch.stems)
        assert batch.images.shape == (n, 3, 32, 32) and batch.images.dtype == torch.float32
        assert batch.targets.shape == (n, 32, 32) and batch.targets.dtype == torch.int64
        assert set(batch.targets.flatten().tolist()) <= {0, 1, 2, 255}


@pytest.mark.parametrize("batch", [1, 3, 7, 20])
def test_every_image_comes_once_an_epoch(root: Path, batch: int) -> None:
    made = loader(root, batch=batch)
    for epoch in range(3):
        batches = list(made.epoch(epoch))
        assert len(batches) == made.steps
        assert sorted(stem for b in batches for stem in b.stems) == stems_of(root, "train")


def order(made: TrainingLoader, epoch: int) -> list[str]:
    return [stem for batch in made.epoch(epoch) for stem in batch.stems]


def test_order_is_a_function_of_seed_and_epoch(root: Path) -> None:
    made = loader(root)
    first, second = order(made, 0), order(made, 1)
    assert first != second
    assert order(made, 0) == first == order(loader(root), 0)
    assert order(loader(root, seed=1), 0) != first


@pytest.mark.parametrize("step", [1, 2])
def test_entered_in_the_middle_an_epoch_gives_the_same_rest(root: Path, step: int) -> None:
    whole = list(loader(root).epoch(4))
    fresh = loader(root)
    assert same(fresh.epoch(4, step), whole[step:])
    assert same(fresh.epoch(4), whole), "the next epoch is whole again"


def test_processes_give_the_same_batches(root: Path) -> None:
    alone, helped = loader(root), loader(root, workers=2)
    assert same(helped.epoch(0), alone.epoch(0))
    assert same(helped.epoch(1, 1), alone.epoch(1, 1))
    assert same(helped.epoch(2), alone.epoch(2))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_cannot_be_read_is_named_without_a_traceback_of_processes(tmp_path: Path, workers: int) -> None:
    write_voc(tmp_path)
    path = tmp_path / "JPEGImages" / "pic_3.png"
    path.write_bytes(b"not a picture")
    with pytest.raises(ImageError) as caught:
        list(loader(tmp_path, workers=workers).epoch(0))
    assert str(caught.value) == f"{path}: not an image in a known format. Replace the file."
