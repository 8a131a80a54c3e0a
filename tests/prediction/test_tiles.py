"""Tiles against the whole: with torch's own functions on logits that are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from toolkit.prediction.canvas import Canvas
from toolkit.prediction.tiles import Span, blend

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 700), st.integers(1, 300), st.floats(0, 0.9), st.sampled_from([1, 8, 32]))
def test_spans_cover_everything_from_multiples_of_the_stride(
    pixels: int, tile: int, overlap: float, stride: int
) -> None:
    span = Span.over(pixels, tile, overlap, stride)
    assert span.starts[0] == 0
    assert span.starts[-1] + span.length == span.whole and pixels <= span.whole < pixels + stride
    assert all(start % stride == 0 for start in span.starts)
    assert all(0 < step <= span.length for step in span.steps)
    assert sum(span.steps) == span.whole
    if len(span.starts) > 1:
        wanted = max(stride, int(span.length * (1 - overlap)))
        assert max(span.steps[:-1]) <= wanted + stride


def test_the_shares_of_all_tiles_add_up_to_one_everywhere() -> None:
    span = Span.over(500, 96, 0.4, 32)
    total = np.zeros(2 * span.whole)
    for start, share in zip(span.starts, span.shares(2), strict=True):
        total[2 * start : 2 * start + len(share)] += share
    np.testing.assert_allclose(total, 1, atol=1e-6)


def local(images: torch.Tensor) -> torch.Tensor:
    """Logits that depend on a pixel alone: any blend of them is what the whole gives."""
    x = images.float().permute(0, 3, 1, 2) / 25
    return torch.cat([x, x.mean(1, keepdim=True) - x[:, :1], x[:, 1:2] * 0 + 4], 1)


def noise(size: tuple[int, int]) -> Pixels:
    coarse = np.random.default_rng(3).integers(0, 256, (1, 3, 9, 11)).astype(np.float32)
    smooth = F.interpolate(torch.from_numpy(coarse), size, mode="bicubic", align_corners=False)[0]
    return smooth.clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy().copy()


@pytest.mark.parametrize("finer", [1, 2])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.8])
@pytest.mark.parametrize("size", [(200, 333), (96, 500), (300, 64), (97, 97)])
@pytest.mark.parametrize("picture", [None, (150, 400)])
def test_blended_tiles_are_the_whole(
    size: tuple[int, int], overlap: float, finer: int, picture: tuple[int, int] | None
) -> None:
    """Mask, confidence and probabilities of a picture as large as the logits, and of one that is not."""
    image = noise(size)

    def compute(images: torch.Tensor) -> torch.Tensor:
        logits = local(images)
        return logits.repeat_interleave(finer, 2).repeat_interleave(finer, 3)

    inner = (finer * size[0], finer * size[1])
    target = picture or inner
    canvas = Canvas(target, inner, 5, confidence=True, probabilities=True)
    rows, columns = (Span.over(side, 96, overlap, 32) for side in size)
    blend(image, rows, columns, compute, canvas.add, finer=finer, batch=3)

    logits = compute(torch.from_numpy(image)[None])
    full = F.interpolate(logits, target, mode="bilinear", align_corners=False)[0]
    two = full.topk(2, 0).values
    clear = (two[0] - two[1]).numpy() > 1e-3
    assert clear.mean() > 0.9
    assert np.array_equal(canvas.mask[clear], full.argmax(0).numpy()[clear])
    assert canvas.confidence is not None and canvas.probabilities is not None
    np.testing.assert_allclose(canvas.confidence, full.softmax(0).max(0).values.numpy(), atol=2e-3)
    np.testing.assert_allclose(canvas.probabilities, full.softmax(0).numpy(), atol=2e-3)
    for k, sure in enumerate(canvas.sureness.means):
        best, ids = logits[0].softmax(0).max(0)
        assert sure == pytest.approx(best[ids == k].mean().item(), abs=1e-3, nan_ok=True)


def test_a_tiles_border_counts_little() -> None:
    """A network that is wrong at the borders of what it sees, as they all are, is wrong there in the whole only."""

    def compute(images: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(images), 2, *images.shape[1:3])
        logits[:, 0] = 1
        logits[:, 1, :4], logits[:, 1, -4:], logits[:, 1, :, :4], logits[:, 1, :, -4:] = 9, 9, 9, 9
        return logits

    image = np.zeros((320, 416, 3), np.uint8)
    canvas = Canvas((320, 416), (320, 416), 2, confidence=False, probabilities=False)
    rows, columns = (Span.over(side, 128, 0.25, 32) for side in image.shape[:2])
    blend(image, rows, columns, compute, canvas.add)
    expected = np.ones((320, 416), np.uint8)
    expected[4:-4, 4:-4] = 0
    assert np.array_equal(canvas.mask, expected)
