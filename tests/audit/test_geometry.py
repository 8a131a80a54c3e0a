"""Polygon measures against slow, obvious ones."""

import itertools
import math
import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from toolkit.audit.geometry import largest_loop, share_inside, signed_area

Points = npt.NDArray[np.float64]
SIZE = (40, 60)

coordinate = st.integers(-60, 120)
polygons = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9, unique=True)


def star(tips: int, step: int) -> Points:
    angles = [2 * math.pi * step * index / tips for index in range(tips)]
    return np.array([(100 + 80 * math.sin(a), 100 - 80 * math.cos(a)) for a in angles])


def crosses(points: Points) -> bool:
    """Any two edges with their ends strictly on two sides of each other."""
    edges = [(points[i], points[(i + 1) % len(points)]) for i in range(len(points))]

    def side(a: Points, b: Points, c: Points) -> float:
        return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    return any(
        side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
        for (a, b), (c, d) in itertools.combinations(edges, 2)
    )


@given(polygons)
def test_a_loop_needs_a_crossing(corners: list[tuple[int, int]]) -> None:
    points = np.array(corners, np.float64)
    if not crosses(points):
        assert largest_loop(points) == 0


@given(polygons, st.integers(0, 8), st.booleans())
def test_the_loop_does_not_depend_on_start_and_direction(
    corners: list[tuple[int, int]], start: int, back: bool
) -> None:
    points = np.array(corners, np.float64)
    other = np.roll(points[::-1] if back else points, start, axis=0)
    assert largest_loop(other) == pytest.approx(largest_loop(points), abs=1e-6)


def test_the_two_lobes_of_a_bow_tie() -> None:
    bow = np.array([(0, 0), (30, 20), (30, 0), (0, 10)], np.float64)
    left, right = 5 * 10 * 1.0, 10 * 20 * 1.0  # triangles of height 10 and 20 that meet at x = 10
    assert largest_loop(bow) == pytest.approx(min(left, right))
    assert abs(signed_area(bow)) == pytest.approx(right - left)


def test_a_star_crosses_itself_and_a_regular_polygon_does_not() -> None:
    assert largest_loop(star(5, 2)) > 1000
    assert largest_loop(star(5, 1)) == 0
    closed = np.concatenate([star(5, 1), star(5, 1)[:1]])
    assert largest_loop(closed) == 0


@given(polygons)
def test_the_share_inside_a_frame_is_the_share_of_pixels(corners: list[tuple[int, int]]) -> None:
    points = np.array(corners, np.float64)
    if crosses(points) or abs(signed_area(points)) < 400:
        return
    scale, margin = 4, 60
    H, W = SIZE
    canvas = Image.new("1", ((W + 2 * margin) * scale, (H + 2 * margin + 20) * scale))
    xy = [((x + 0.5 + margin) * scale, (y + 0.5 + margin) * scale) for x, y in corners]
    ImageDraw.Draw(canvas).polygon(xy, fill=1)
    drawn = np.array(canvas)
    frame = np.zeros_like(drawn)
    frame[margin * scale : (margin + H) * scale, margin * scale : (margin + W) * scale] = True
    perimeter = sum(math.dist(corners[i], corners[i - 1]) for i in range(len(corners)))
    tolerance = 0.01 + perimeter / scale / abs(signed_area(points))  # half a drawn pixel along the outline
    assert share_inside(points, SIZE) == pytest.approx((drawn & frame).sum() / drawn.sum(), abs=tolerance)


@pytest.mark.parametrize("kind", ["circle", "noise", "zigzag"])
def test_a_hundred_thousand_points_take_no_time(kind: str) -> None:
    n = 100_000
    angles = np.linspace(0, 2 * math.pi, n, endpoint=False)
    points = {
        "circle": np.stack([500 + 400 * np.cos(angles), 500 + 400 * np.sin(angles)], axis=1),
        "noise": np.random.default_rng(0).random((n, 2)) * 1000,
        "zigzag": np.stack([np.linspace(0, 1000, n), np.tile([0.0, 900.0], n // 2)], axis=1),
    }[kind]
    began = time.perf_counter()
    loop = largest_loop(points)
    share_inside(points, (500, 500))
    assert time.perf_counter() - began < 5
    if kind == "circle":
        assert loop == 0
