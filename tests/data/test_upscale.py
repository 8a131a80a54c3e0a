"""Masks that are finer than what the network sees."""

import numpy as np
import pytest
import torch

from tests.data.test_transforms import SHAPED, SIZES, TURNED, checkered, rng
from toolkit.data.augment import AUGMENTS, Augment
from toolkit.data.preprocess import Preprocess
from toolkit.data.transforms import training_view


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("augment", [AUGMENTS["none"], SHAPED, TURNED], ids=["none", "shaped", "turned"])
def test_the_middle_of_nine_fine_pixels_is_the_coarse_one(size: tuple[int, int], augment: Augment) -> None:
    image, mask = checkered(size)
    for seed in range(8):
        view, ids = training_view(image, mask, Preprocess(size=96), augment, rng(seed))
        same, fine = training_view(image, mask, Preprocess(size=96, upscale=3), augment, rng(seed))
        assert np.array_equal(view, same)
        assert fine.shape == (288, 288)
        assert (fine[1::3, 1::3] != ids).mean() < 0.02  # ties on the edges; half a pixel beside would be 0.1


def test_fine_masks_show_what_coarse_ones_lose() -> None:
    """Lines one pixel wide, at a third of the picture's size: two of three are gone unless the mask is finer."""
    mask = np.zeros((96, 96), np.uint8)
    mask[:, ::4] = 1
    image = np.zeros((96, 96, 3), np.uint8)
    _, coarse = training_view(image, mask, Preprocess(size=32), Augment(), rng(0))
    _, fine = training_view(image, mask, Preprocess(size=32, upscale=3), Augment(), rng(0))
    assert np.array_equal(fine, mask)
    assert coarse.shape == (32, 32)


@pytest.mark.parametrize("size", [(60, 90), (33, 200)])
def test_fine_logits_come_back_as_the_mask_they_were_made_of(size: tuple[int, int]) -> None:
    _, mask = checkered(size)
    preprocess = Preprocess(size=max(size) // 2, stride=16, upscale=2)
    fitted = preprocess.apply_mask(mask)
    assert fitted.shape == tuple(2 * length for length in preprocess.apply(np.zeros((*size, 3), np.uint8)).shape[1:])
    h, w = preprocess.fitted(size)
    assert (fitted[2 * h :] == 255).all() and (fitted[:, 2 * w :] == 255).all()
    logits = torch.nn.functional.one_hot(torch.from_numpy(fitted).long() % 255, 3).permute(2, 0, 1).float()
    again = preprocess.undo(logits, size)
    assert (again != mask).mean() < 0.03
    assert Preprocess.from_dict(preprocess.as_dict()) == preprocess


def test_a_checkpoint_of_before_there_were_fine_masks_has_none() -> None:
    values = Preprocess().as_dict()
    del values["upscale"]
    assert Preprocess.from_dict(values).upscale == 1
