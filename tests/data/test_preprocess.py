"""Fitting, padding and normalising, and the way back, against torch and by hand."""

import json

import numpy as np
import pytest
import torch

from toolkit.data.enlarge import axes, certainties
from toolkit.data.preprocess import Preprocess
from toolkit.labels.annotation import Mask

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

SIZES = [(64, 64), (37, 90), (200, 50), (1, 500), (7, 3), (129, 128)]


def picture(size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize(
    ("size", "fitted"),
    [((64, 64), (64, 64)), ((100, 200), (32, 64)), ((200, 100), (64, 32)), ((32, 16), (64, 32)), ((1, 5000), (1, 64))],
)
def test_the_longer_side_gets_the_size_and_the_aspect_stays(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert Preprocess(size=64).fitted(size) == fitted


@pytest.mark.parametrize("size", SIZES)
def test_picture_and_mask_are_fitted_alike_and_padded_to_the_stride(size: tuple[int, int]) -> None:
    preprocess = Preprocess(size=72, stride=32)
    tensor, mask = preprocess.apply(picture(size)), preprocess.apply_mask(np.zeros(size, np.uint8))
    h, w = preprocess.fitted(size)
    assert tensor.shape == (3, *mask.shape)
    assert mask.shape[0] % 32 == mask.shape[1] % 32 == 0
    assert (mask.shape[0] - h, mask.shape[1] - w) < (32, 32)
    assert not mask[:h, :w].any()
    assert (mask[h:] == 255).all() and (mask[:, w:] == 255).all(), "padding is ignore, never background"
    outside = torch.cat([tensor[:, h:].flatten(), tensor[:, :, w:].flatten()])
    assert outside.numel() == 0 or outside.abs().max() < 0.02, "padding is the mean colour: 0 for the network"


def test_a_picture_of_the_right_size_is_only_normalised() -> None:
    rgb = picture((64, 64))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (torch.from_numpy(rgb).double() / 255 - mean) / std
    actual = Preprocess(size=64).apply(rgb)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual.permute(1, 2, 0).double(), expected, atol=1e-5, rtol=0)


def test_a_flat_colour_stays_the_same_colour_through_any_resizing() -> None:
    flat = np.full((90, 130, 3), (10, 128, 250), np.uint8)
    tensor = Preprocess(size=64).apply(flat)[:, :44, :64]
    expected = Preprocess(size=32).apply(flat[:32, :32])[:, :1, :1].expand_as(tensor)
    torch.testing.assert_close(tensor, expected)


@pytest.mark.parametrize("size", [(96, 96), (20, 20)])
def test_resized_masks_hold_no_id_that_was_not_there_and_stay_in_place(size: tuple[int, int]) -> None:
    H, W = size
    mask = np.zeros(size, np.uint8)
    mask[: H // 2, : W // 2], mask[H // 2 :, W // 2 :] = 9, 200
    small = Preprocess(size=32).apply_mask(mask)
    expected = np.zeros((32, 32), np.uint8)
    expected[:16, :16], expected[16:, 16:] = 9, 200
    assert np.array_equal(small, expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("classes", [2, 21])
def test_undo_is_bilinear_enlarging_and_argmax_of_torch(size: tuple[int, int], classes: int) -> None:
    check_undo(Preprocess(size=64), size, classes)


def test_undo_of_many_classes_works_through_bands_of_rows() -> None:
    check_undo(Preprocess(size=48), (211, 160), classes=150)  # about 40 rows at a time


def undone(preprocess: Preprocess, logits: torch.Tensor, size: tuple[int, int]) -> tuple[Mask, Floats]:
    mask = preprocess.undo(logits, size)
    seen = preprocess.seen(logits, size)
    return mask, certainties(seen, *axes(seen, size), mask)


def check_undo(preprocess: Preprocess, size: tuple[int, int], classes: int) -> None:
    h, w = preprocess.fitted(size)
    torch.manual_seed(size[0])
    logits = 3 * torch.randn(classes, h + -h % 32, w + -w % 32)
    mask, confidence = undone(preprocess, logits, size)
    full = torch.nn.functional.interpolate(logits[None, :, :h, :w], size, mode="bilinear", align_corners=False)[0]
    two = full.softmax(0).topk(2, 0)
    clear = (two.values[0] - two.values[1]).numpy() > 1e-4
    assert mask.shape == confidence.shape == size
    assert mask.dtype == np.uint8 and confidence.dtype == np.float32
    assert clear.mean() > 0.9
    assert np.array_equal(mask[clear], full.argmax(0).numpy().astype(np.uint8)[clear])
    np.testing.assert_allclose(confidence, two.values[0].numpy(), atol=1e-4)


def test_undo_takes_16_bit_logits() -> None:
    logits = torch.zeros(2, 32, 32, dtype=torch.bfloat16)
    logits[1, :, 16:] = 5
    mask, confidence = undone(Preprocess(size=32), logits, (64, 64))
    assert mask[:, :30].max() == 0 and mask[:, 34:].min() == 1
    assert confidence[0, 63] == pytest.approx(1 / (1 + np.exp(-5)), rel=1e-5)


def test_what_predicting_needs_travels_through_json() -> None:
    made = Preprocess(size=77, stride=16, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    assert Preprocess.from_dict(json.loads(json.dumps(made.as_dict()))) == made


def test_nothing_handed_in_is_modified_even_if_it_cannot_be() -> None:
    rgb = picture((64, 64))
    before = rgb.copy()
    rgb.setflags(write=False)
    Preprocess(size=64).apply(rgb).add_(1)
    assert np.array_equal(rgb, before)
