"""Where pixels go: exact where numpy can do the same, to a tenth of a pixel where it cannot."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from toolkit.data.augment import AUGMENTS, Augment
from toolkit.data.preprocess import Preprocess
from toolkit.data.transforms import training_view
from toolkit.data.warp import Warp, apply_warp

Pixels = npt.NDArray[np.uint8]

SIDE = 64
MIDDLE = (0.5, 0.5, 0.5, 0.5)


def noise(size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """A picture and a mask of which no pixel is like its neighbours."""
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (*size, 3), np.uint8), rng.integers(0, 7, size, np.uint8)


def views(
    image: Pixels, mask: Pixels, augment: Augment, count: int, side: int = SIDE
) -> Iterator[tuple[Pixels, Pixels]]:
    for seed in range(count):
        yield training_view(image, mask, Preprocess(size=side), augment, np.random.default_rng(seed))


@pytest.mark.parametrize(("degrees", "quarters"), [(90.0, 1), (180.0, 2), (-90.0, 3), (-180.0, 2)])
def test_quarter_turns_by_rotation_are_exact_and_counterclockwise(degrees: float, quarters: int) -> None:
    image, mask = noise((SIDE, SIDE))
    patch = apply_warp(image, mask, Warp((SIDE, SIDE), degrees, 1.0, MIDDLE, None), SIDE)
    assert np.array_equal(patch.image, np.rot90(image, quarters))
    assert np.array_equal(patch.mask, np.rot90(mask, quarters))
    assert patch.outside is not None and not patch.outside.any()


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (Augment(flip=1.0), [lambda plane: plane[:, ::-1]]),
        (Augment(flip_vertical=1.0), [lambda plane: plane[::-1]]),
        (Augment(flip=1.0, flip_vertical=1.0), [lambda plane: plane[::-1, ::-1]]),
        (Augment(quarter_turns=1.0), [lambda plane, k=k: np.rot90(plane, k) for k in (1, 2, 3)]),
    ],
    ids=["flip", "flip_vertical", "both", "quarter_turns"],
)
def test_flips_and_quarter_turns_are_exact(option: Augment, expected: list[Callable[[Pixels], Pixels]]) -> None:
    image, mask = noise((SIDE, SIDE))
    met = set()
    for view, ids in views(image, mask, option, 30):
        (found,) = (k for k, change in enumerate(expected) if np.array_equal(view, change(image)))
        assert np.array_equal(ids, expected[found](mask))
        met.add(found)
    assert met == set(range(len(expected)))


def test_at_its_own_size_a_larger_picture_is_cut_to_the_pixel_and_anywhere() -> None:
    image, mask = noise((66, 70))
    places = set()
    for view, ids in views(image, mask, Augment(scale=(70 / SIDE, 70 / SIDE), shift=1.0), 120):
        corner = [(y, x) for y in range(3) for x in range(7) if np.array_equal(view, image[y : y + 64, x : x + 64])]
        assert len(corner) == 1
        y, x = corner[0]
        assert np.array_equal(ids, mask[y : y + 64, x : x + 64])
        places.add((y, x))
    assert {y for y, _ in places} == set(range(3)) and {x for _, x in places} == set(range(7))


def test_at_its_own_size_a_smaller_picture_is_kept_to_the_pixel_and_anywhere() -> None:
    image, mask = noise((61, 58))
    rows, columns = set(), set()
    for view, ids in views(image, mask, Augment(scale=(61 / SIDE, 61 / SIDE), shift=1.0), 120):
        y, x = (int(found.min()) for found in np.nonzero(ids != 255))
        assert np.array_equal(view[y : y + 61, x : x + 58], image)
        assert np.array_equal(ids[y : y + 61, x : x + 58], mask)
        assert int((ids == 255).sum()) == SIDE * SIDE - 61 * 58
        rows.add(y)
        columns.add(x)
    assert rows == set(range(4)) and columns == set(range(7))


def test_without_shift_small_pictures_lie_at_the_top_left_and_of_large_ones_the_middle_is_cut() -> None:
    image, mask = noise((60, 56))
    ((view, _),) = views(image, mask, Augment(scale=(60 / SIDE, 60 / SIDE)), 1)
    assert np.array_equal(view[:60, :56], image)
    image, mask = noise((84, 100))
    ((view, _),) = views(image, mask, Augment(scale=(100 / SIDE, 100 / SIDE)), 1)
    assert np.array_equal(view, image[10:74, 18:82])


@pytest.mark.parametrize("size", [(200, 300), (64, 64), (32, 48)])
def test_a_turn_by_almost_nothing_is_no_turn(size: tuple[int, int]) -> None:
    """Both ways to the same map: cut and scale, and the affine one. Shrunk to half, kept, enlarged to double."""
    y, x = np.indices(size) / size[0]
    waves = np.stack([np.sin(25 * y + 9 * x), np.cos(31 * x), np.sin(19 * (y - x))], axis=2)
    image, mask = (128 + 120 * waves).astype(np.uint8), (waves.sum(2) > 0).astype(np.uint8)
    scaled = {200: (100, 150), 64: (64, 64), 32: (64, 96)}[size[0]]
    upright = apply_warp(image, mask, Warp(scaled, 0.0, 1.0, MIDDLE, None), SIDE)
    turned = apply_warp(image, mask, Warp(scaled, 1e-7, 1.0, MIDDLE, None), SIDE)
    inner = np.s_[2:-2, 2:-2]  # cut first, the outermost pixels have no neighbours to be mixed with
    off = np.abs(upright.image.astype(int) - turned.image)[inner]
    assert off.mean() < 1.5 and off.max() < 12
    assert (upright.mask != turned.mask)[inner].mean() < 0.02
    for axis in (0, 1):
        moved = np.roll(turned.image, 1, axis).astype(int)
        assert np.abs(upright.image - moved)[inner].mean() > 6 * off.mean(), "a pixel beside would be seen"


def spot(size: tuple[int, int], y: float, x: float, radius: float) -> tuple[Pixels, Pixels]:
    """A white disc, class 1, on black, drawn with soft edges in the picture."""
    rows, columns = np.indices(size) + 0.5
    distance = np.hypot(rows - y, columns - x) - radius
    image = np.repeat(((0.5 - distance).clip(0, 1) * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    return image, (distance < 0).astype(np.uint8)


def centroid(weights: npt.NDArray[np.float64]) -> tuple[float, float]:
    rows, columns = np.indices(weights.shape) + 0.5
    return float((rows * weights).sum() / weights.sum()), float((columns * weights).sum() / weights.sum())


@pytest.mark.parametrize("size", [(900, 1300), (333, 250), (60, 80)], ids=["shrunk", "about kept", "enlarged"])
@pytest.mark.parametrize("rotation", [0.0, 180.0])
def test_picture_and_mask_agree_to_a_fraction_of_a_pixel(size: tuple[int, int], rotation: float) -> None:
    """The middle of a disc in the picture and in the mask, after any draw in which all of it is in view."""
    image, mask = spot(size, size[0] * 0.45, size[1] * 0.55, min(size) * 0.2)
    augment = Augment((0.5, 1.4), aspect=1.3, rotation=rotation, shift=1.0, flip=0.5)
    seen, off = 0, []
    for view, ids in views(image, mask, augment, 40, side=128):
        inside = ids == 1
        if inside[[0, -1]].any() or inside[:, [0, -1]].any() or not inside.any():
            continue
        bright = np.where(ids == 255, 0, view[:, :, 0] / 255.0)
        found, marked = centroid(bright), centroid(inside.astype(float))
        off.append(np.subtract(found, marked))
        assert inside.sum() == pytest.approx(bright.sum(), rel=0.06)
        seen += 1
    assert seen > 15
    assert np.abs(off).max() < 0.3, "of nearest sampling, by chance"
    assert np.abs(np.mean(off, axis=0)).max() < 0.05, "no bias"


@pytest.mark.parametrize("degrees", [0.0, 30.0, -75.0])
def test_a_point_lands_where_geometry_says(degrees: float) -> None:
    size, scaled, side = (120, 160), (90.0, 100.0), 128
    y, x = 50.0, 100.0
    image, mask = spot(size, y, x, 12)
    patch = apply_warp(image, mask, Warp((90, 100), degrees, 1.0, (0.5, 0.5, 0.5, 0.5), None), side)
    angle = np.deg2rad(degrees)
    right, up = (x / size[1] - 0.5) * scaled[1], -(y / size[0] - 0.5) * scaled[0]
    turned = right * np.cos(angle) - up * np.sin(angle), right * np.sin(angle) + up * np.cos(angle)
    expected = side / 2 - turned[1], side / 2 + turned[0]
    found = np.add(centroid(patch.image[:, :, 0].astype(float)), patch.at)
    assert found == pytest.approx(expected, abs=0.6 if degrees == 0 else 0.1), "upright, places are whole pixels"


@pytest.mark.parametrize("rotation", [0.0, 20.0])
def test_shrinking_averages_instead_of_picking(rotation: float) -> None:
    """A fine chequerboard becomes an even grey; picked from, it would become coarse patterns of black and white."""
    board = ((np.indices((700, 700)).sum(0) % 2) * 255).astype(np.uint8)
    image, mask = np.repeat(board[:, :, None], 3, axis=2), np.zeros((700, 700), np.uint8)
    for view, ids in views(image, mask, Augment((0.8, 1.5), rotation=rotation, shift=1.0), 6, side=96):
        grey = view[ids == 0].astype(float)
        assert grey.std() < 12
        assert grey.mean() == pytest.approx(127.5, abs=3)


def test_turned_pictures_neither_bleed_into_the_filling_nor_take_from_it() -> None:
    image, mask = np.full((50, 90, 3), 255, np.uint8), np.zeros((50, 90), np.uint8)
    for view, ids in views(image, mask, Augment((0.5, 1.5), rotation=180.0, shift=1.0), 20):
        assert set(np.unique(ids)) <= {0, 255}
        assert (view[ids == 0] == 255).all()
        assert (view[ids == 255] == Preprocess().filling).all()


@pytest.mark.parametrize("rotation", [15.0, 180.0])
def test_turned_pictures_stay_in_the_frame(rotation: float) -> None:
    """Small ones lie in it as a whole; of large ones at least half is filled with picture."""
    image, mask = noise((60, 90))
    for _, ids in views(image, mask, Augment((0.6, 0.6), rotation=rotation, shift=1.0), 30):
        area = (60 / 90 * SIDE * 0.6) * (SIDE * 0.6)
        assert (ids != 255).sum() == pytest.approx(area, rel=0.08)
    image, mask = noise((90, 90))
    for _, ids in views(image, mask, Augment((1.0, 1.8), rotation=rotation, shift=1.0), 30):
        assert (ids != 255).mean() > 0.5


def rarely(size: tuple[int, int], *, background: int) -> tuple[Pixels, Pixels]:
    """Two small squares, classes 1 and 2, in opposite corners."""
    mask = np.full(size, background, np.uint8)
    mask[20:60, 30:70], mask[-60:-20, -90:-50] = 1, 2
    return np.zeros((*size, 3), np.uint8), mask


@pytest.mark.parametrize("rotation", [0.0, 45.0])
def test_a_crop_that_favours_rare_classes_shows_one_of_them(rotation: float) -> None:
    image, mask = rarely((600, 900), background=255)
    met = []
    for _, ids in views(image, mask, Augment((4.0, 4.0), rotation=rotation, shift=1.0, rare=1.0), 60):
        met.append(set(np.unique(ids)) - {255})
        assert met[-1], "one of the classes is in view"
    ones = sum(1 in found for found in met)
    assert 18 < ones < 42, "each as often as the other"


def test_rare_classes_are_drawn_as_often_as_common_ones() -> None:
    image, mask = rarely((600, 900), background=0)
    shares = {}
    for rare in (0.0, 0.5, 1.0):
        found = list(views(image, mask, Augment((5.0, 5.0), shift=1.0, rare=rare), 100))
        shares[rare] = sum(1 in ids for _, ids in found) / 100
    assert shares[0.0] < 0.16
    assert 0.22 < shares[1.0] < 0.50, "one of three classes, and now and then by chance"
    assert shares[0.0] < shares[0.5] < shares[1.0]


def test_favouring_reaches_every_side_of_the_crop() -> None:
    """The class is not always in the middle, or at one edge."""
    mask = np.full((400, 400), 255, np.uint8)
    mask[200, 200] = 1
    image = np.zeros((400, 400, 3), np.uint8)
    places = np.array(
        [np.argwhere(ids == 1).mean(0) for _, ids in views(image, mask, Augment((7.0, 7.0), shift=1.0, rare=1.0), 60)]
    )
    assert (places.min(0) < SIDE * 0.15).all() and (places.max(0) > SIDE * 0.85).all()


def test_masks_of_nothing_but_ignore_have_no_rare_class() -> None:
    image, mask = np.zeros((300, 200, 3), np.uint8), np.full((300, 200), 255, np.uint8)
    for _, ids in views(image, mask, Augment((2.0, 3.0), rotation=20.0, shift=1.0, rare=1.0), 5):
        assert (ids == 255).all()


def test_sides_longer_than_opencv_samples_from() -> None:
    """OpenCV 4 keeps positions in 16 bits: without care, all beyond pixel 32,767 would look like it."""
    image = np.full((3, 40_000, 3), 200, np.uint8)
    mask = np.repeat((np.arange(40_000) // 4000).astype(np.uint8)[None], 3, axis=0)
    patch = apply_warp(image, mask, Warp((30, SIDE), 20.0, 1.0, MIDDLE, None), SIDE)
    y, x = np.indices((SIDE, SIDE)) + 0.5 - SIDE / 2
    along = x * np.cos(np.deg2rad(20)) - y * np.sin(np.deg2rad(20)) + SIDE / 2
    inside = patch.mask != 255
    assert set(np.unique(patch.mask[inside])) == set(range(10))
    assert (patch.mask == np.floor(along / SIDE * 10))[inside].mean() > 0.98
    assert (patch.image[inside] == 200).all()


def test_strong_views_differ_from_draw_to_draw() -> None:
    image, mask = noise((80, 60))
    seen = {view.tobytes() for view, _ in views(image, mask, AUGMENTS["strong"], 20)}
    assert len(seen) == 20
