"""Augmented views: shapes, alignment of picture and mask, what is filled up."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from toolkit.data.augment import AUGMENTS, Augment
from toolkit.data.preprocess import Preprocess
from toolkit.data.transforms import training_view

Pixels = npt.NDArray[np.uint8]

PREPROCESS = Preprocess(size=96)
SIZES = [(96, 96), (60, 150), (300, 170), (5, 120), (1, 1)]
SHAPED = Augment((0.6, 1.8), aspect=1.15, shift=1.0, flip=0.5)  # the default without its changes of colour
TURNED = replace(SHAPED, rotation=180.0)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", list(AUGMENTS))
@pytest.mark.parametrize("size", SIZES)
def test_views_are_squares_of_the_network_size(name: str, size: tuple[int, int]) -> None:
    image, mask = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    for seed in range(10):
        view, ids = training_view(image, mask, PREPROCESS, AUGMENTS[name], rng(seed))
        assert view.shape == (96, 96, 3) and ids.shape == (96, 96)
        assert view.dtype == ids.dtype == np.uint8
        assert view.flags.c_contiguous and ids.flags.c_contiguous


def checkered(size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Eight by eight fields of class 1 or 2; the picture's red tells the class, as 0 or 255."""
    rows, columns = np.arange(size[0]) * 8 // size[0], np.arange(size[1]) * 8 // size[1]
    mask = (1 + (rows[:, None] * 3 + columns[None, :] * 5 + rows[:, None] * columns[None, :]) % 2).astype(np.uint8)
    return np.repeat(((mask == 2) * 255).astype(np.uint8)[:, :, None], 3, axis=2), mask


@pytest.mark.parametrize("size", [(96, 96), (192, 160), (60, 96)])
@pytest.mark.parametrize("augment", [AUGMENTS["none"], SHAPED, TURNED], ids=["none", "shaped", "turned"])
def test_picture_and_mask_stay_on_top_of_each_other(size: tuple[int, int], augment: Augment) -> None:
    image, mask = checkered(size)
    for seed in range(12):
        view, ids = training_view(image, mask, PREPROCESS, augment, rng(seed))
        inside = ids != 255
        assert set(np.unique(ids[inside])) <= {1, 2}
        bright, marked = view[..., 0] > 127, ids == 2
        wrong = {(0, 0): (bright != marked)[inside].mean()}
        for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            wrong[shift] = (np.roll(bright, shift, (0, 1)) != marked)[inside].mean()
        assert wrong[0, 0] < 0.03, "half a pixel at the fields' borders at most"
        assert min(wrong, key=lambda shift: wrong[shift]) == (0, 0), "no shift fits better"


@pytest.mark.parametrize("augment", [SHAPED, TURNED], ids=["shaped", "turned"])
@pytest.mark.parametrize("size", [(96, 40), (40, 96), (200, 60)])
def test_what_is_filled_up_is_ignore_in_the_mask_and_mean_colour_in_the_picture(
    size: tuple[int, int], augment: Augment
) -> None:
    image, mask = np.full((*size, 3), 255, np.uint8), np.zeros(size, np.uint8)
    filled = 0
    for seed in range(12):
        view, ids = training_view(image, mask, PREPROCESS, augment, rng(seed))
        assert set(np.unique(ids)) <= {0, 255}
        assert (view[ids == 0] == 255).all()
        assert (view[ids == 255] == PREPROCESS.filling).all()
        filled += int((ids == 255).sum())
    assert filled > 0


def test_the_filling_keeps_its_colour_whatever_happens_to_the_picture() -> None:
    image, mask = checkered((40, 96))
    loud = replace(TURNED, brightness=0.4, hue=90.0, blur=3.0, blur_chance=1.0, noise=20.0, noise_chance=1.0, jpeg=10.0)
    for seed in range(8):
        view, ids = training_view(image, mask, PREPROCESS, loud, rng(seed))
        assert (ids == 255).any()
        assert (view[ids == 255] == PREPROCESS.filling).all()


@pytest.mark.parametrize("size", [(70, 140), (140, 70), (96, 96), (20, 30)])
def test_without_augmentation_the_picture_is_fitted_to_the_upper_left_as_for_predicting(size: tuple[int, int]) -> None:
    image, mask = checkered(size)
    view, ids = training_view(image, mask, PREPROCESS, AUGMENTS["none"], rng(0))
    small = Preprocess(size=96, stride=96)
    assert np.array_equal(ids, small.apply_mask(mask))
    seen = small.apply(image).permute(1, 2, 0).numpy() * small.std + small.mean
    assert np.abs(seen * 255 - view).max() < 0.01


def test_flips_about_half_of_the_time_and_from_left_to_right() -> None:
    mask = np.zeros((96, 96), np.uint8)
    mask[:40, :30] = 1
    image = np.repeat(mask[:, :, None], 3, axis=2)
    views = [training_view(image, mask, PREPROCESS, Augment(flip=0.5), rng(seed))[1] for seed in range(60)]
    flipped = sum(np.array_equal(ids, mask[:, ::-1]) for ids in views)
    assert flipped + sum(np.array_equal(ids, mask) for ids in views) == 60
    assert 15 < flipped < 45


def test_zoom_reaches_both_ends_and_every_place_is_seen() -> None:
    """Over many draws each quarter of a large picture comes into view, and small ones wander over the canvas."""
    mask = np.ones((96, 96), np.uint8)
    mask[:48, 48:], mask[48:, :48], mask[48:, 48:] = 2, 3, 4
    image = np.zeros((96, 96, 3), np.uint8)
    areas, corners = [], set()
    for seed in range(80):
        ids = training_view(image, mask, PREPROCESS, Augment(scale=(0.6, 1.8), shift=1.0), rng(seed))[1]
        areas.append(float((ids != 255).mean()))
        if areas[-1] < 1:
            rows, columns = np.nonzero(ids != 255)
            corners.add((bool(rows.min() > 10), bool(columns.min() > 10)))
        assert (ids != 255).any()
    assert min(areas) < 0.45 and max(areas) == 1
    assert len(corners) == 4


def test_options_of_colour_leave_the_draws_of_shape_as_they_are() -> None:
    """A run with more of one thing stays comparable with a run with less of it."""
    image, mask = checkered((70, 96))
    loud = replace(TURNED, hue=30.0, blur=2.0, noise=9.0, jpeg=50.0, blur_chance=1.0, noise_chance=1.0, jpeg_chance=1.0)
    for seed in range(8):
        view, ids = training_view(image, mask, PREPROCESS, TURNED, rng(seed))
        other, same = training_view(image, mask, PREPROCESS, loud, rng(seed))
        assert np.array_equal(ids, same)
        assert not np.array_equal(view, other)


def test_inputs_are_not_modified() -> None:
    image, mask = checkered((96, 96))
    before = image.copy(), mask.copy()
    image.setflags(write=False)
    mask.setflags(write=False)
    for name in AUGMENTS:
        for seed in range(5):
            training_view(image, mask, PREPROCESS, AUGMENTS[name], rng(seed))
    assert np.array_equal(image, before[0]) and np.array_equal(mask, before[1])


def test_a_view_is_no_part_of_what_was_given() -> None:
    """Pictures may come from a read-only file in memory; what training gets is its own."""
    image, mask = checkered((96, 96))
    for seed in range(4):
        view, ids = training_view(image, mask, PREPROCESS, Augment(flip=0.5), rng(seed))
        assert not np.shares_memory(view, image) and not np.shares_memory(ids, mask)
        assert view.flags.writeable and ids.flags.writeable
