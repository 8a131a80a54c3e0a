"""Samples and batches: what is read, in which order, and that nothing depends on processes."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.datasets import mask_of, stems_of, write_mask, write_voc
from toolkit.data.augment import AUGMENTS
from toolkit.data.dataset import Batch, Scored, TrainingSamples, ValidationSamples, VocSamples
from toolkit.data.loaders import TrainingLoader, ValidationLoader
from toolkit.data.preprocess import Preprocess
from toolkit.errors import DatasetError, ImageError, SegError
from toolkit.voc.folder import VocFolder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc(tmp_path_factory.mktemp("voc"), train=7, val=2)


def samples(root: Path, seed: int = 0, augment: str = "default") -> TrainingSamples:
    found = VocSamples(VocFolder(root), tuple(stems_of(root, "train")))
    return TrainingSamples(found, Preprocess(size=32), AUGMENTS[augment], seed, 3)


def loader(
    root: Path,
    *,
    seed: int = 0,
    batch: int = 3,
    largest: int | None = None,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> TrainingLoader:
    made = TrainingLoader(samples(root, seed), batch, largest or batch, workers, rank=rank, world=world)
    _MADE.append(made)
    return made


_MADE: list[TrainingLoader] = []


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """The processes of a loader that nobody closes are ended by the garbage collector, which waits seconds for each."""
    yield
    while _MADE:
        _MADE.pop().close()


def same(ours: Iterable[list[Batch]], theirs: Iterable[list[Batch]]) -> bool:
    pairs = [pair for a, b in zip(ours, theirs, strict=True) for pair in zip(a, b, strict=True)]
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
    def view(seed: int, epoch: int, index: int) -> npt.NDArray[np.uint8]:
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
    assert np.array_equal(last[0], kept), "what was drawn before does not matter"
    assert not np.array_equal(view(1, 3, 1), kept)
    assert not np.array_equal(view(0, 4, 1), kept)


def test_batches_have_their_types_and_padding_is_ignore(root: Path) -> None:
    for (batch,) in loader(root).epoch(0):
        n = len(batch.stems)
        assert batch.images.shape == (n, 32, 32, 3) and batch.images.dtype == torch.uint8
        assert batch.targets.shape == (n, 32, 32) and batch.targets.dtype == torch.uint8
        assert set(batch.targets.flatten().tolist()) <= {0, 1, 2, 255}


@pytest.mark.parametrize("batch", [1, 3, 7, 20])
def test_every_image_comes_once_an_epoch(root: Path, batch: int) -> None:
    made = loader(root, batch=batch)
    for epoch in range(3):
        steps = list(made.epoch(epoch))
        assert len(steps) == made.steps
        assert [sum(len(batch.stems) for batch in step) for step in steps] == [
            made.images(n) for n in range(made.steps)
        ]
        assert sorted(stem for step in steps for b in step for stem in b.stems) == stems_of(root, "train")


def order(made: TrainingLoader, epoch: int) -> list[str]:
    return [stem for step in made.epoch(epoch) for batch in step for stem in batch.stems]


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
def test_a_picture_that_cannot_be_read_is_told_beside_the_others(tmp_path: Path, workers: int) -> None:
    write_voc(tmp_path)
    path = tmp_path / "JPEGImages" / "pic_3.png"
    path.write_bytes(b"not a picture")
    batches = [batch for step in loader(tmp_path, batch=2, workers=workers).epoch(0) for batch in step]
    (error,) = [error for batch in batches for error in batch.unread]
    assert isinstance(error, ImageError)
    assert str(error) == f"{path}: not an image in a known format. Replace the file."
    assert sorted(stem for batch in batches for stem in batch.stems) == ["pic_0", "pic_1", "pic_2", "pic_4"]
    assert all(len(batch.images) == len(batch.targets) == len(batch.stems) for batch in batches)


@pytest.mark.parametrize("largest", [1, 2, 3, 5])
def test_a_step_comes_in_parts_that_are_together_what_it_is(root: Path, largest: int) -> None:
    for whole, parts in zip(
        loader(root, batch=5).epoch(2), loader(root, batch=5, largest=largest).epoch(2), strict=True
    ):
        assert [len(part.stems) for part in parts[:-1]] == [largest] * (len(parts) - 1)
        assert 1 <= len(parts[-1].stems) <= largest
        assert torch.equal(torch.cat([part.images for part in parts]), whole[0].images)


@pytest.mark.parametrize("world", [2, 3, 9])
@pytest.mark.parametrize("workers", [0, 2])
def test_processes_share_every_step_evenly(root: Path, world: int, workers: int) -> None:
    """Seven images in steps of five: the last step has two, and some processes none of them."""
    alone = list(loader(root, batch=5).epoch(1))
    shares = [
        list(loader(root, batch=5, largest=2, rank=rank, world=world, workers=workers if rank == 0 else 0).epoch(1))
        for rank in range(world)
    ]
    for number, (whole,) in enumerate(alone):
        each = [share[number] for share in shares]
        assert tuple(stem for parts in each for part in parts for stem in part.stems) == whole.stems
        sizes = [sum(len(part.stems) for part in parts) for parts in each]
        assert max(sizes) - min(sizes) <= 1


def test_an_epoch_that_was_left_begins_again_in_smaller_parts(root: Path) -> None:
    """As after too little memory, with processes that were loading ahead."""
    made = loader(root, batch=4, workers=2)
    next(iter(made.epoch(3)))
    ours = list(made.epoch(3, 1, largest=1))
    (whole,) = list(loader(root, batch=4).epoch(3))[1]
    assert [len(part.stems) for part in ours[0]] == [1, 1, 1]
    assert torch.equal(torch.cat([part.images for part in ours[0]]), whole.images)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world", [1, 2, 5])
def test_validation_samples_are_shared_without_repeating_any(tmp_path: Path, workers: int, world: int) -> None:
    write_voc(tmp_path, train=1, val=3)
    (tmp_path / "JPEGImages" / "pic_2.png").write_bytes(b"not a picture")
    found = VocSamples(VocFolder(tmp_path), tuple(stems_of(tmp_path, "val")))
    scored = ValidationSamples(found, Preprocess(size=32), 3)
    seen = sorted((i, s) for rank in range(world) for i, s in ValidationLoader(scored, workers, rank=rank, world=world))
    assert [index for index, _ in seen] == [0, 1, 2]
    assert isinstance(seen[1][1], ImageError)
    for index in (0, 2):
        sample = seen[index][1]
        assert isinstance(sample, Scored)
        assert np.array_equal(sample.truth, mask_of(tmp_path, f"pic_{index + 1}"))
        assert sample.image.shape[:2] == sample.target.shape == (32, 32)
