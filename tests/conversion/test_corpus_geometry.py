"""Points that are odd, far, too many or too few."""

import math
from pathlib import Path

import numpy as np
import pytest

from tests.conversion.cases import (
    SILENT,
    SKIPPED,
    TRIANGLE,
    WARNED,
    Case,
    dog,
    drawn_by_labelme,
    mask_of,
    named,
    run,
    shapes,
)

MILLION = 1_000_000
Points = list[list[float]]
STAR: Points = [[10, 2], [16, 20], [2, 8], [18, 8], [4, 20]]
REVERSED: list[Points] = [[[20, 9], [4, 2]], [[20, 2], [4, 9]], [[4, 9], [20, 2]]]
RNG = np.random.default_rng(0)


def same(name: str, kind: str, points: Points, outcome: str = SILENT, *says: str) -> Case:
    """Drawn exactly as labelme draws it."""
    return Case(name, shapes(dog(points, kind)), outcome, says, [(kind, points)])


def skipped(name: str, kind: str, points: Points, reason: str) -> Case:
    return Case(name, shapes(dog(), dog(points, kind)), SKIPPED, (f"shapes[1].points{reason}",))


OUTSIDE = "lies outside the picture (36 x 24 pixels) - nothing drawn"
FAR = "lies more than a million pixels away"

CASES = [
    *(
        skipped(f"polygon of {n}", "polygon", [[1, 2]] * n, f": a polygon needs 3 points or more, got {n}")
        for n in range(3)
    ),
    *(
        skipped(f"rectangle of {n}", "rectangle", [[1, 2]] * n, f": a rectangle needs 2 points, got {n}")
        for n in (0, 1, 3, 5)
    ),
    *(skipped(f"circle of {n}", "circle", [[1, 2]] * n, f": a circle needs 2 points, got {n}") for n in (0, 1, 3)),
    *(skipped(f"line of {n}", "line", [[1, 2]] * n, f": a line needs 2 points, got {n}") for n in (0, 1, 3)),
    *(skipped(f"point of {n}", "point", [[1, 2]] * n, f": a point needs 1 point, got {n}") for n in (0, 2)),
    *(skipped(f"mask of {n}", "mask", [[1, 2]] * n, f": a mask needs 2 points, got {n}") for n in (0, 1, 3)),
    *(
        skipped(
            f"oriented of {n}", "oriented_rectangle", [[1, 2]] * n, f": a oriented_rectangle needs 4 points, got {n}"
        )
        for n in (2, 3, 5)
    ),
    skipped("linestrip of 0", "linestrip", [], ": a linestrip needs 1 point or more, got 0"),
    skipped("points of 0", "points", [], ": a points needs 1 point or more, got 0"),
    same("triangle", *TRIANGLE),
    same("self-crossing", "polygon", [[2, 2], [20, 18], [20, 2], [2, 18]]),
    same("star, even-odd", "polygon", STAR),
    same("figure twice", "polygon", [*STAR, *STAR]),
    same(
        "keyhole", "polygon", [[2, 2], [30, 2], [30, 20], [2, 20], [2, 2], [8, 6], [8, 16], [24, 16], [24, 6], [8, 6]]
    ),
    same("collinear", "polygon", [[2, 2], [10, 10], [18, 18]]),
    same("three equal points", "polygon", [[5, 5]] * 3),
    same("closed by hand", "polygon", [[2, 3], [20, 3], [11, 18], [2, 3]]),
    same("clockwise and not", "polygon", [[11.5, 18], [20, 3], [2, 3]]),
    same("halves", "polygon", [[2.5, 3.5], [20.5, 3.5], [11.5, 18.5]]),
    same("just below a half", "polygon", [[2.4999999, 3.4999999], [20.5000001, 3.5], [11.5, 18.5]]),
    same("minus zero", "polygon", [[-0.0, -0.0], [20, 0], [0, 20]]),
    same("tiny numbers", "polygon", [[1e-300, 1e-300], [20, 5e-324], [0, 20]]),
    same("partly outside", "polygon", [[-10, -10], [50, -10], [10, 50]]),
    same("the whole picture", "polygon", [[0, 0], [35, 0], [35, 23], [0, 23]]),
    same("beyond every edge", "polygon", [[-99, -99], [99, -99], [99, 99], [-99, 99]]),
    same("on the last pixel", "polygon", [[35, 23], [35, 23], [35, 22]]),
    same("rectangle", "rectangle", [[4, 2], [20, 9]]),
    *(same(f"rectangle reversed {i}", "rectangle", p) for i, p in enumerate(REVERSED)),
    same("rectangle of one pixel", "rectangle", [[5, 5], [5, 5]]),
    same("rectangle without height", "rectangle", [[5, 5], [20, 5]]),
    same("rectangle of fractions", "rectangle", [[4.4, 2.6], [20.5, 9.5]]),
    same("rectangle over the edge", "rectangle", [[-40, -40], [10, 10]]),
    same("circle", "circle", [[18, 12], [18, 4]]),
    same("circle of fractions", "circle", [[18.3, 12.7], [11.1, 4.9]]),
    same("circle over the edge", "circle", [[0, 0], [10, 0]]),
    same("circle over the whole picture", "circle", [[18, 12], [300, 12]]),
    same("circle of radius 9999", "circle", [[18, -9990], [18, 9]]),
    same("line", "line", [[3, 3], [30, 20]]),
    same("line without length", "line", [[10, 10], [10, 10]]),
    same("line from outside", "line", [[-30, -30], [60, 60]]),
    same("linestrip of 1", "linestrip", [[10, 10]], WARNED, "covers no pixel"),
    same("linestrip of 2", "linestrip", [[3, 3], [30, 20]]),
    same("linestrip there and back", "linestrip", [[3, 3], [30, 20], [3, 3]]),
    same("point", "point", [[18, 12]]),
    same("point at a corner", "point", [[0, 0]]),
    same("point just outside", "point", [[-3, -3]]),
    same("oriented rectangle", "oriented_rectangle", [[10, 2], [25, 8], [22, 18], [7, 12]]),
    Case(
        "rotation of X-AnyLabeling",
        shapes(dog([[10, 2], [25, 8], [22, 18], [7, 12]], "rotation")),
        drawn=[("polygon", [[10, 2], [25, 8], [22, 18], [7, 12]])],
    ),
    Case(
        "rectangle of four corners",
        shapes(dog([[4, 2], [20, 2], [20, 9], [4, 9]], "rectangle")),
        drawn=[("rectangle", [[4, 2], [20, 9]])],
    ),
    Case("points", shapes(dog([[5, 5], [25, 15]], "points")), drawn=[("point", [[5, 5]]), ("point", [[25, 15]])]),
    Case(
        "circle without radius",
        shapes(dog(), dog([[9, 9], [9, 9]], "circle")),
        WARNED,
        ("shapes[1]: the circle 'dog' covers no pixel",),
    ),
    same("outside", "polygon", [[100, 100], [120, 100], [110, 120]], WARNED, OUTSIDE),
    same("left of it", "rectangle", [[-20, 2], [-5, 9]], WARNED, OUTSIDE),
    same("point far outside", "point", [[-20, -20]], WARNED, OUTSIDE),
    same("circle outside", "circle", [[100, 100], [105, 100]], WARNED, OUTSIDE),
    same("line outside", "line", [[100, 0], [100, 50]], WARNED, OUTSIDE),
    same("huge but legal", "polygon", [[-MILLION, -MILLION], [MILLION, 0], [0, MILLION]]),
    same("huge but legal rectangle", "rectangle", [[-MILLION, -MILLION], [MILLION, 10]]),
    same("huge but legal line", "line", [[-MILLION, -MILLION], [MILLION, MILLION]]),
    skipped("a pixel further", "polygon", [[0, 0], [MILLION + 1, 5], [5, 5]], f"[1]: {FAR}"),
    skipped("1e12", "rectangle", [[0, 0], [5, 1e12]], f"[1]: {FAR}"),
    skipped("minus 1e308", "circle", [[-1e308, 0], [5, 5]], f"[0]: {FAR}"),
    skipped("beyond 2**31", "line", [[2**31, 0], [5, 5]], f"[0]: {FAR}"),
    skipped("beyond 2**63", "line", [[0, 0], [5, 2**63]], f"[1]: {FAR}"),
    skipped("1e400", "polygon", [[1, 1], [math.inf, 2], [3, 3]], "[1]: two finite numbers are needed, got [inf, 2]"),
    skipped("not a number", "polygon", [[1, 1], [2, 2], [math.nan, 3]], "[2]: two finite numbers are needed"),
]


@pytest.mark.parametrize(**named(CASES))
def test_geometry(tmp_path: Path, case: Case) -> None:
    run(case, tmp_path)


SLOW: dict[str, tuple[str, Points]] = {
    "circle of a million": ("circle", [[-MILLION, -MILLION], [-MILLION, 0]]),
    "circle over everything": ("circle", [[18, 12], [MILLION, MILLION]]),
    "self-crossing polygon of 100,000": ("polygon", (RNG.random((100_000, 2)) * 40).tolist()),
    "far polygon of 100,000": ("polygon", (RNG.random((100_000, 2)) * 2e6 - 1e6).tolist()),
    "points of 20,000": ("points", (RNG.random((20_000, 2)) * 40).tolist()),
    "linestrip of 20,000": ("linestrip", (RNG.random((20_000, 2)) * 40).tolist()),
}


@pytest.mark.parametrize("name", sorted(SLOW))
def test_nothing_hangs(tmp_path: Path, name: str) -> None:
    kind, points = SLOW[name]
    run(Case(name, shapes(dog(points, kind), dog()), outcome=outcome_of(name), drawn=None), tmp_path)
    if name == "circle over everything":
        assert (mask_of(tmp_path / "voc", "odd") == 2).all()
    if "polygon" in name:
        expected = drawn_by_labelme([(kind, points), TRIANGLE])
        np.testing.assert_array_equal(mask_of(tmp_path / "voc", "odd"), expected)


def outcome_of(name: str) -> str:
    return WARNED if name == "circle of a million" else SILENT


def test_thousands_of_circles_and_shapes(tmp_path: Path) -> None:
    circles = [dog([[0, 0], [9999 + index % 7, 0]], "circle") for index in range(2000)]
    run(Case("many", shapes(*circles, dog()), WARNED, ("is covered completely",), None), tmp_path)
    assert (mask_of(tmp_path / "voc", "odd") == 2).all()
