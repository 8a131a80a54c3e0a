"""Masks become shapes that draw the masks again."""

import cv2
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
from toolkit.labels.raster import draw_classes, instance_numbers
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
    shapes = trace(mask, CLASSES, tolerance=0, min_area=0)
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


def test_a_speck_between_two_objects_becomes_one_of_them_not_a_gap() -> None:
    mask = boxes((5, 34, 1))
    mask[5:35, 20:35] = 2
    mask[18:21, 19:21] = 3
    back = drawn(trace(mask, CLASSES, tolerance=0, min_area=10), mask.shape)
    assert set(np.unique(back[5:35, 5:35])) == {1, 2}
    whole = np.full((3, 3), 2, np.uint8)
    np.testing.assert_array_equal(drawn(trace(whole, CLASSES, min_area=1000), whole.shape), whole)


def test_specks_go_by_themselves_only_where_they_are_little_of_their_class() -> None:
    mask = np.zeros((200, 200), np.uint8)
    mask[20:180, 20:180] = 1
    mask[100:102, 100:102] = 2  # all that there is of class 2
    mask[50, 50] = 0
    mask[5:8, 5:8] = 1
    shapes = trace(mask, CLASSES)
    assert sorted(shape.label for shape in shapes) == ["a", "b"]
    assert trace(mask, CLASSES, min_area=16) == tuple(shape for shape in shapes if shape.label == "a")


def test_ignored_pixels_come_back_as_ignored() -> None:
    mask = boxes((5, 34, 1), (10, 29, 255))
    shapes = trace(mask, CLASSES, tolerance=0)
    assert [shape.label for shape in shapes] == ["a", "__ignore__"]
    ids = [(shape, 255 if shape.label == "__ignore__" else 1) for shape in shapes]
    np.testing.assert_array_equal(draw_classes(ids, mask.shape), mask)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40), st.integers(1, 12))
def test_bitmaps_are_the_regions_themselves(seed: int, height: int, width: int, coarse: int) -> None:
    mask = blobs(seed, (height, width), coarse)
    shapes = trace(mask, CLASSES, shapes="mask")
    np.testing.assert_array_equal(drawn(shapes, mask.shape), mask)
    np.testing.assert_array_equal(drawn(shapes[::-1], mask.shape), mask)
    regions = sum(cv2.connectedComponents((mask == k).astype(np.uint8), connectivity=4)[0] - 1 for k in (1, 2, 3))
    assert len(shapes) == regions
    for shape in shapes:
        assert shape.kind == "mask" and shape.bitmap is not None
        (left, top), (right, bottom) = shape.points
        assert shape.bitmap.shape == (bottom - top + 1, right - left + 1)
        assert shape.bitmap.any(axis=0).all() and shape.bitmap.any(axis=1).all()


def test_bitmaps_too_large_together_are_cut_into_parts_of_one_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = smooth(0)
    whole = trace(mask, CLASSES, shapes="mask")
    monkeypatch.setattr("toolkit.labels.trace._MOST_BITMAPS", 1000)
    monkeypatch.setattr("toolkit.labels.trace._TILE", 16)
    parts = trace(mask, CLASSES, shapes="mask")
    np.testing.assert_array_equal(drawn(parts, mask.shape), mask)
    assert len(set(instance_numbers(parts))) == len(set(instance_numbers(whole))) < len(parts)


def smooth(seed: int, size: tuple[int, int] = (150, 200), blur: float = 9) -> Mask:
    """Four classes as a network sees them: curved, touching, with holes."""
    rng = np.random.default_rng(seed)
    planes = [cv2.GaussianBlur(rng.standard_normal(size), (0, 0), blur) for _ in range(4)]
    return np.asarray(np.argmax(planes, axis=0), np.uint8)


def worst_iou(mask: Mask, back: npt.NDArray[np.int32]) -> float:
    return min(float(((mask == k) & (back == k)).sum() / ((mask == k) | (back == k)).sum()) for k in np.unique(mask))


MAPS = {"with background": CLASSES, "without": ClassMap(("sky", "road", "car", "tree"))}


@pytest.mark.parametrize("classes", list(MAPS.values()), ids=list(MAPS))
@pytest.mark.parametrize("seed", range(6))
def test_at_half_a_pixel_every_class_keeps_its_shape(seed: int, classes: ClassMap) -> None:
    for mask in (smooth(seed), blobs(seed, (90, 120), 15)):
        shapes = trace(mask, classes, tolerance=0.5)
        assert worst_iou(mask, drawn(shapes, mask.shape, classes)) >= 0.995
        exact = trace(mask, classes, tolerance=0)
        assert sum(len(shape.points) for shape in shapes) < sum(len(shape.points) for shape in exact)


def test_a_larger_tolerance_saves_points_within_its_limits() -> None:
    mask = smooth(1, (200, 300), blur=20)
    by_tolerance = {value: trace(mask, CLASSES, tolerance=value) for value in (0.5, 1.0, 2.0)}
    points = [sum(len(shape.points) for shape in shapes) for shapes in by_tolerance.values()]
    assert points[0] > 1.1 * points[1] > 1.3 * points[2]
    for value, shapes in by_tolerance.items():
        assert worst_iou(mask, drawn(shapes, mask.shape)) >= 1 - 0.012 * value**2 - 0.002


def test_without_background_simplified_outlines_leave_no_pixel_without_a_class() -> None:
    classes = MAPS["without"]
    mask = smooth(2)
    shapes = trace(mask, classes, tolerance=2)
    canvas = draw_classes([(shape, classes.id_of(shape.label) or 0) for shape in shapes], mask.shape, background=99)
    assert 99 not in canvas


def test_corners_lie_on_the_outline_and_small_regions_keep_their_form() -> None:
    mask = np.zeros((60, 60), np.uint8)
    cv2.circle(mask, (10, 10), 4, 1, -1)
    cv2.circle(mask, (40, 40), 15, 2, -1)
    for shape in trace(mask, CLASSES, tolerance=4, min_area=0):
        k = CLASSES.id_of(shape.label)
        assert all(mask[int(y), int(x)] == k for x, y in shape.points)
        assert len(shape.points) >= 6


def test_many_small_regions_become_as_many_shapes() -> None:
    mask = np.zeros((400, 400), np.uint8)
    mask[::4, ::4] = 1
    assert len(trace(mask, CLASSES, min_area=0)) == 10_000


def test_the_text_can_depend_on_the_region() -> None:
    mask = boxes((5, 34, 1), (10, 29, 2))
    shapes = trace(mask, CLASSES, text=lambda region, cleaned: f"{int(region.pixels(cleaned).sum())} pixels")
    assert [shape.text for shape in shapes] == [f"{30**2 - 20**2} pixels", f"{20**2} pixels"]


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
    assert (inside / either).min() >= 0.995
    assert points < 0.9 * border
