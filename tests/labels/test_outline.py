"""Walks along the borders of regions, against OpenCV's labelling of what hangs together."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.labels.annotation import Mask
from toolkit.labels.outline import Region, regions_of


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.integers(0, 10**6), st.integers(1, 16), st.integers(1, 16), st.floats(0.05, 0.95))
def test_a_region_is_what_hangs_together_by_sides(seed: int, height: int, width: int, density: float) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < density).astype(np.uint8)
    count, numbers = cv2.connectedComponents(mask, connectivity=4)
    regions = regions_of(mask, 1)
    assert len(regions) == count - 1
    for region in regions:
        x, y = region.walk[0]
        whole = numbers == numbers[y, x]
        left, top, right, bottom = region.box
        part = np.zeros_like(whole)
        part[top : bottom + 1, left : right + 1] = region.pixels(mask)
        np.testing.assert_array_equal(part, whole)
        assert region.filled == filled(whole)
        steps = np.abs(region.walk - np.roll(region.walk, 1, axis=0)).max(axis=1)
        assert set(steps) == ({1} if whole.sum() > 1 else {0})
        assert whole[region.walk[:, 1], region.walk[:, 0]].all()


def filled(region: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> int:
    """Pixels that cannot be reached from outside, corner to corner, without crossing the region."""
    outside = np.pad(~region, 1, constant_values=True).astype(np.uint8)
    _, numbers = cv2.connectedComponents(outside, connectivity=8)
    return int((numbers != numbers[0, 0]).sum())


def picture(*rows: str) -> Mask:
    return np.array([[int(value) for value in row] for row in rows], np.uint8)


@pytest.mark.parametrize(
    ("mask", "sizes"),
    [
        (picture("10", "01"), [1, 1]),
        (picture("010", "101", "010"), [1, 1, 1, 1]),
        (picture("111", "101", "111"), [9]),
        (picture("1110", "1010", "1101"), [1, 7]),
        (picture("11111"), [5]),
    ],
    ids=["by a corner", "ring of corners", "ring", "open corner", "line"],
)
def test_by_hand(mask: Mask, sizes: list[int]) -> None:
    regions: list[Region] = regions_of(mask, 1)
    assert sorted(region.filled for region in regions) == sizes


def test_no_region() -> None:
    assert regions_of(np.zeros((4, 5), np.uint8), 1) == []
