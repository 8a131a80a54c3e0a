"""Every shape is drawn as labelme draws it, in every pixel."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.oracles import labelme_label
from toolkit.labels.annotation import Shape
from toolkit.labels.raster import Drawing, draw_classes, instance_numbers

SIZE = (47, 61)
IDS = {"a": 1, "b": 2, "c": 254, "__ignore__": -1}

COORDINATES = {
    "float": st.floats(-30, 90, width=32),
    "whole": st.integers(-30, 90).map(float),
    "half": st.integers(-60, 180).map(lambda twice: twice / 2),
    "far": st.floats(-5000, 5000, width=32),
}
COUNTS = {
    "polygon": (3, 9),
    "rectangle": (2, 2),
    "circle": (2, 2),
    "line": (2, 2),
    "linestrip": (1, 7),
    "point": (1, 1),
    "oriented_rectangle": (4, 4),
}


@st.composite
def drawn_shapes(draw: st.DrawFn, kind: str) -> Shape:
    value = COORDINATES[draw(st.sampled_from(sorted(COORDINATES)))]
    fewest, most = COUNTS[kind]
    points = draw(st.lists(st.tuples(value, value), min_size=fewest, max_size=most))
    return Shape(draw(st.sampled_from(sorted(IDS))), kind, tuple(points), draw(st.sampled_from((None, 1, 2))))


@st.composite
def masks(draw: st.DrawFn) -> Shape:
    left, top = draw(st.integers(0, SIZE[1] - 1)), draw(st.integers(0, SIZE[0] - 1))
    width, height = draw(st.integers(1, SIZE[1] - left)), draw(st.integers(1, SIZE[0] - top))
    bitmap = np.random.default_rng(draw(st.integers(0, 99))).random((height, width)) < 0.6
    points = ((float(left), float(top)), (left + width - 1.0, top + height - 1.0))
    return Shape(draw(st.sampled_from(sorted(IDS))), "mask", points, draw(st.sampled_from((None, 1))), bitmap)


SHAPES = st.one_of(masks(), *(drawn_shapes(kind) for kind in sorted(COUNTS)))


def draw_instances(shapes: Sequence[Shape], ids: Sequence[int], size: tuple[int, int] = SIZE) -> NDArray[np.generic]:
    return Drawing(shapes, size).instances(ids, instance_numbers(shapes))


def assert_same_as_labelme(shapes: list[Shape]) -> None:
    classes, instances = labelme_label(shapes, SIZE, IDS)
    mine = draw_classes([(shape, IDS[shape.label] % 256) for shape in shapes], SIZE)
    np.testing.assert_array_equal(mine, np.where(classes == -1, 255, classes))
    assert mine.dtype == np.uint8
    ids = [IDS[shape.label] % 256 for shape in shapes]
    np.testing.assert_array_equal(draw_instances(shapes, ids), np.where(classes == -1, 0, instances))
    counts = np.bincount(mine.ravel(), minlength=256)
    assert Drawing(shapes, SIZE).pixels(ids) == {value: count for value, count in enumerate(counts.tolist()) if count}


@pytest.mark.parametrize("kind", sorted(COUNTS))
def test_a_shape_alone(kind: str) -> None:
    @settings(deadline=None, derandomize=True, max_examples=80)
    @given(drawn_shapes(kind))
    def same(shape: Shape) -> None:
        assert_same_as_labelme([shape])

    same()


@settings(deadline=None, derandomize=True, max_examples=60)
@given(masks())
def test_a_mask_alone(shape: Shape) -> None:
    assert_same_as_labelme([shape])


@settings(deadline=None, derandomize=True, max_examples=120)
@given(st.lists(SHAPES, max_size=8))
def test_overlapping_scenes(shapes: list[Shape]) -> None:
    assert_same_as_labelme(shapes)


def test_more_instances_than_a_byte_holds() -> None:
    shapes = [Shape("a", "rectangle", ((x, y), (x + 1.0, y + 1.0))) for y in range(0, 40, 2) for x in range(0, 60, 2)]
    assert_same_as_labelme(shapes)
    assert draw_instances(shapes, [1] * 600).max() == 600


def test_known_pixel_counts() -> None:
    def count(kind: str, *points: tuple[float, float]) -> int:
        return int(draw_classes([(Shape("a", kind, points), 1)], (60, 60)).sum())

    assert count("polygon", (10, 10), (20, 10), (20, 20), (10, 20)) == 121  # both edges count
    assert count("rectangle", (20, 20), (10, 10)) == 121  # whichever corner was drawn first
    assert count("point", (30, 30)) == 97
    assert count("points", (10, 10), (40, 40)) == 2 * 97


def test_the_later_shape_covers_the_earlier_one() -> None:
    box = ((5.0, 5.0), (15.0, 15.0))
    below, above = Shape("a", "rectangle", box), Shape("b", "rectangle", box)
    assert draw_classes([(below, 1), (above, 2)], (20, 20))[10, 10] == 2
    assert draw_classes([(above, 2), (below, 1)], (20, 20))[10, 10] == 1


def test_background_drawn_over_an_object_is_a_hole_in_both_masks() -> None:
    disc = Shape("a", "rectangle", ((5, 5), (25, 25)))
    hole = Shape("_background_", "rectangle", ((10, 10), (20, 20)))
    classes = draw_classes([(disc, 1), (hole, 0)], (30, 30))
    instances = draw_instances([disc, hole], [1, 0], (30, 30))
    assert int(classes.sum()) == 21 * 21 - 11 * 11
    np.testing.assert_array_equal(instances, classes)


def test_group_id_joins_shapes_of_one_label_only() -> None:
    boxes = [((x, 2.0), (x + 3.0, 5.0)) for x in (0.0, 10.0, 20.0, 30.0)]
    shapes = [
        Shape("a", "rectangle", boxes[0], group_id=7),
        Shape("b", "rectangle", boxes[1], group_id=7),
        Shape("a", "rectangle", boxes[2], group_id=7),
        Shape("a", "rectangle", boxes[3], group_id=None),
    ]
    instances = draw_instances(shapes, [1] * 4, (10, 40))
    assert [int(instances[3, x]) for x in (1, 11, 21, 31)] == [1, 2, 1, 3]


def pasted(points: tuple[tuple[float, float], ...], bitmap_size: tuple[int, int]) -> list[tuple[int, int]]:
    """First and last painted (x, y)."""
    mask = draw_classes([(Shape("a", "mask", points, bitmap=np.ones(bitmap_size, np.bool_)), 1)], (20, 30))
    rows, columns = np.nonzero(mask)
    return [(int(columns.min()), int(rows.min())), (int(columns.max()), int(rows.max()))]


def test_a_mask_follows_the_rules_of_labelme_7() -> None:
    assert pasted(((3, 4), (7, 9)), (6, 5)) == [(3, 4), (7, 9)]
    assert pasted(((3, 4), (7, 9)), (50, 50)) == [(3, 4), (7, 9)]  # a whole-number box crops the bitmap
    assert pasted(((3.4, 4.6), (7.0, 9.0)), (8, 8)) == [(3, 5), (10, 12)]  # a fractional one only places it
    assert pasted(((-2, -3), (2, 2)), (6, 5)) == [(0, 0), (2, 2)]
    assert pasted(((25, 15), (40, 40)), (26, 16)) == [(25, 15), (29, 19)]


@pytest.mark.parametrize(
    "line", [lambda r: ((0.0, -r), (0.0, 0.0)), lambda r: ((r, 30.0), (20.0, 30.0))], ids=["above", "right"]
)
def test_a_huge_circle_is_drawn_at_once_and_in_the_right_place(
    line: Callable[[float], tuple[tuple[float, float], ...]],
) -> None:
    circle = Shape("a", "circle", line(900_000.0))
    mask = draw_classes([(circle, 1)], (50, 60))
    (x, y), rim = circle.points
    radius = math.dist((x, y), rim)
    rows, columns = np.mgrid[:50, :60]
    np.testing.assert_array_equal(mask, np.hypot(columns - x, rows - y) <= radius)
    assert 0 < mask.mean() < 1


def test_line_width_and_point_size_can_be_chosen() -> None:
    line = Shape("a", "line", ((0, 20), (39, 20)))
    point = Shape("a", "point", ((20, 20),))
    assert Drawing([line], (40, 40), line_width=4).classes([1])[:, 20].sum() == 4
    assert Drawing([point], (40, 40), point_size=9).classes([1])[20].sum() == 19
