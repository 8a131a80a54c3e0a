"""Masks become shapes that draw the masks again."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.annotations import SAMPLE
from tests.oracles import labelme_label
from toolkit.labels.annotation import Mask, Shape
from toolkit.labels.classmap import ClassMap
from toolkit.labels.labelme import read_labelme
from toolkit.labels.raster import draw_classes
from toolkit.labels.trace import trace

CLASSES = ClassMap(("_background_", "a", "b", "c"))


def drawn(shapes: tuple[Shape, ...], size: tuple[int, int], classes: ClassMap = CLASSES) -> npt.NDArray[np.int32]:
    return labelme_label(shapes, size, {name: index for index, name in enumerate(classes.names)})[0]


def blobs(seed: int, size: tuple[int, int], coarse: int) -> Mask:
    """Random regions with ragged borders, holes and single pixels."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 4, (max(1, size[0] // coarse), max(1, size[1] // coarse)), dtype=np.uint8)
    mask = np.array(Image.fromarray(small).resize((size[1], size[0]), Image.Resampling.NEAREST))
    noise = rng.random(size) < 0.08
    mask[noise] = rng.integers(0, 4, int(noise.sum()), dtype=np.uint8)
    return mask


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40), st.integers(1, 12))
def test_without_simplification_every_pixel_comes_back(seed: int, height: int, width: int, coarse: int) -> None:
    mask = blobs(seed, (height, width), coarse)
    shapes = trace(mask, CLASSES, tolerance=0, min_area=1)
    np.testing.assert_array_equal(drawn(shapes, mask.shape), mask)


def test_without_a_background_class_every_class_becomes_shapes() -> None:
    classes = ClassMap(("sky", "road", "car", "tree"))
    mask = blobs(3, (30, 40), 7)
    shapes = trace(mask, classes, tolerance=0, min_area=1)
    np.testing.assert_array_equal(drawn(shapes, mask.shape, classes), mask)
    assert "sky" in {shape.label for shape in shapes}


def boxes(*corners: tuple[int, int, int]) -> Mask:
    """Concentric squares: (first, last, class id)."""
    mask = np.zeros((40, 40), np.uint8)
    for first, last, class_id in corners:
        mask[first : last + 1, first : last + 1] = class_id
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        boxes((5, 34, 1), (10, 29, 0)),
        boxes((5, 34, 1), (10, 29, 2), (15, 24, 1)),
        boxes((5, 34, 1), (8, 31, 0), (12, 27, 2), (16, 23, 0)),
        boxes((0, 39, 3), (1, 38, 0)),
    ],
    ids=["hole", "nested", "hole in hole", "frame"],
)
@pytest.mark.parametrize("tolerance", [0, 0.5])
def test_holes_and_nested_regions(mask: Mask, tolerance: float) -> None:
    np.testing.assert_array_equal(drawn(trace(mask, CLASSES, tolerance=tolerance), mask.shape), mask)


def test_background_around_the_objects_gets_no_shape() -> None:
    mask = boxes((5, 34, 1), (10, 29, 0))
    assert [shape.label for shape in trace(mask, CLASSES)] == ["a", "_background_"]
    assert trace(np.zeros((9, 9), np.uint8), CLASSES) == ()


def test_regions_below_the_smallest_area_become_what_is_around_them() -> None:
    mask = boxes((5, 34, 1))
    mask[10:13, 10:13] = 2  # 9 pixels inside
    mask[20:24, 20:24] = 0  # a hole of 16
    mask[1, 1] = 3
    np.testing.assert_array_equal(np.unique(drawn(trace(mask, CLASSES, tolerance=0, min_area=9), (40, 40))), [0, 1, 2])
    without = mask.copy()
    without[10:13, 10:13] = 1
    without[1, 1] = 0
    np.testing.assert_array_equal(drawn(trace(mask, CLASSES, tolerance=0, min_area=10), (40, 40)), without)


def test_ignored_pixels_get_no_shape() -> None:
    mask = boxes((5, 34, 1), (10, 29, 255))
    assert {shape.label for shape in trace(mask, CLASSES)} == {"a"}
    assert trace(np.full((20, 20), 255, np.uint8), CLASSES) == ()


def test_the_text_is_on_every_shape() -> None:
    shapes = trace(boxes((5, 34, 1), (10, 29, 2)), CLASSES, text="by seg")
    assert [shape.text for shape in shapes] == ["by seg", "by seg"]


def test_real_masks_are_kept_with_few_points() -> None:
    classes = ClassMap.from_labels(SAMPLE / "labels.txt")
    paths = sorted(SAMPLE.glob("*.json"))
    assert paths
    inside, either = np.zeros(len(classes), np.int64), np.zeros(len(classes), np.int64)
    points, border = 0, 0
    for path in paths:
        annotation = read_labelme(path)
        assert annotation is not None
        assert annotation.size is not None
        mask = draw_classes([(shape, classes.id_of(shape.label) or 0) for shape in annotation.shapes], annotation.size)
        shapes = trace(mask, classes, tolerance=0.5)
        back = drawn(shapes, mask.shape, classes)
        for k in range(len(classes)):
            inside[k] += np.count_nonzero((mask == k) & (back == k))
            either[k] += np.count_nonzero((mask == k) | (back == k))
        points += sum(len(shape.points) for shape in shapes)
        border += sum(len(shape.points) for shape in trace(mask, classes, tolerance=0))
    assert (inside / either).min() >= 0.98
    assert points < 0.7 * border
