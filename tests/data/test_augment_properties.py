"""Whatever the picture, the mask and the options: what every view is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.data.augment import AUGMENTS, Augment
from toolkit.data.preprocess import Preprocess
from toolkit.data.transforms import training_view

SIDES = st.one_of(st.integers(1, 70), st.sampled_from([1, 2, 700]))
CHANCES = st.sampled_from([0.0, 0.5, 1.0])
AUGMENTATIONS = st.one_of(
    st.sampled_from(list(AUGMENTS.values())),
    st.builds(
        Augment,
        scale=st.sampled_from([(1.0, 1.0), (0.05, 0.05), (20.0, 20.0), (0.05, 20.0), (0.5, 2.0)]),
        aspect=st.sampled_from([1.0, 1.3, 4.0]),
        rotation=st.sampled_from([0.0, 1e-9, 15.0, 180.0]),
        rotation_chance=CHANCES,
        shift=CHANCES,
        flip=CHANCES,
        flip_vertical=CHANCES,
        quarter_turns=CHANCES,
        rare=CHANCES,
        brightness=CHANCES,
        contrast=CHANCES,
        saturation=CHANCES,
        hue=st.sampled_from([0.0, 8.0, 180.0]),
        blur=st.sampled_from([0.0, 0.001, 1.5, 20.0]),
        blur_chance=CHANCES,
        noise=st.sampled_from([0.0, 0.001, 12.0, 100.0]),
        noise_chance=CHANCES,
        jpeg=st.sampled_from([100.0, 40.0, 1.0]),
        jpeg_chance=CHANCES,
    ),
)


@settings(max_examples=150, deadline=None)
@given(SIDES, SIDES, st.sampled_from([1, 32, 65]), AUGMENTATIONS, st.integers(0, 2**32 - 1))
def test_every_view(height: int, width: int, side: int, augment: Augment, seed: int) -> None:
    content = np.random.default_rng(seed % 7)
    image = content.integers(0, 256, (height, width, 3), np.uint8)
    mask = content.choice(np.array([0, 3, 254, 255], np.uint8), (height, width))
    image.setflags(write=False)
    mask.setflags(write=False)
    preprocess = Preprocess(size=side)
    view, ids = training_view(image, mask, preprocess, augment, np.random.default_rng((seed, 0, 1)))
    assert view.shape == (side, side, 3) and ids.shape == (side, side)
    assert view.dtype == ids.dtype == np.uint8
    assert view.flags.c_contiguous and ids.flags.c_contiguous
    assert set(np.unique(ids)) <= {*np.unique(mask), 255}
    again = training_view(image, mask, preprocess, augment, np.random.default_rng((seed, 0, 1)))
    assert np.array_equal(again[0], view) and np.array_equal(again[1], ids)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("name", list(AUGMENTS))
def test_specks_and_strips(size: tuple[int, int], value: int, name: str) -> None:
    image, mask = np.full((*size, 3), 90, np.uint8), np.full(size, value, np.uint8)
    for seed in range(4):
        _, ids = training_view(image, mask, Preprocess(size=96), AUGMENTS[name], np.random.default_rng(seed))
        assert set(np.unique(ids)) <= {value, 255}
        if name != "strong":  # turned, a strip a pixel wide may fall between the pixels of the view
            assert value in ids
