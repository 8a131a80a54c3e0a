"""Class weights, each method by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from toolkit.errors import UsageError
from toolkit.labels.classmap import ClassMap
from toolkit.losses.class_weights import METHODS, class_weights
from toolkit.voc.counts import PixelCounts

CLASSES = ClassMap(("_background_", "disc", "bar", "ghost"))
PIXELS = (800, 150, 50, 0)  # shares 0.8, 0.15, 0.05, 0


def counts(*pixels: int) -> PixelCounts:
    each, total = np.array(pixels, np.int64), sum(pixels)
    present = (each > 0).astype(np.int64)
    return PixelCounts(each, present, among=present * total, ignored=17, total=1)


def weights(choice: str, *pixels: int) -> list[float]:
    made = class_weights(choice, counts(*pixels), ClassMap(CLASSES.names[: len(pixels)]))
    assert made.weights is not None
    values: list[float] = made.weights.tolist()
    return values


BY_HAND = {
    # each before scaling; the median of the present shares is 0.15
    "inverse": (1 / 0.8, 1 / 0.15, 1 / 0.05),
    "sqrt": (0.8**-0.5, 0.15**-0.5, 0.05**-0.5),
    "median": (0.15 / 0.8, 1.0, 3.0),
    "enet": (1 / math.log(1.82), 1 / math.log(1.17), 1 / math.log(1.07)),
}


def test_every_method_is_computed_by_hand_here() -> None:
    assert set(BY_HAND) == set(METHODS)


@pytest.mark.parametrize("method", BY_HAND)
def test_method_as_by_hand_with_expected_weight_1_and_0_for_an_absent_class(method: str) -> None:
    expected = 0.8 * BY_HAND[method][0] + 0.15 * BY_HAND[method][1] + 0.05 * BY_HAND[method][2]
    assert weights(method, *PIXELS) == pytest.approx([*(w / expected for w in BY_HAND[method]), 0.0])


def test_inverse_is_scikit_learns_balanced_up_to_a_factor() -> None:
    pixels = (7000, 900, 2100)
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=np.repeat(np.arange(3), pixels))
    ratios = np.array(weights("inverse", *pixels)) / theirs
    assert ratios == pytest.approx(np.full(3, ratios[0]))


@pytest.mark.parametrize("method", BY_HAND)
def test_even_classes_weigh_1_each(method: str) -> None:
    assert weights(method, 500, 500, 500) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("method", BY_HAND)
def test_rarer_classes_weigh_more(method: str) -> None:
    large, middle, small, _ = weights(method, *PIXELS)
    assert large < 1 < small
    assert large < middle < small


@pytest.mark.parametrize("method", BY_HAND)
def test_one_pixel_among_billions_stays_finite(method: str) -> None:
    assert np.isfinite(weights(method, 10**10, 1)).all()


@pytest.mark.parametrize("method", [*BY_HAND, "auto"])
def test_nothing_counted_gives_no_error(method: str) -> None:
    made = class_weights(method, counts(0, 0, 0, 0), CLASSES)
    assert made.weights is None or not made.weights.any()


def test_auto_takes_sqrt_for_uneven_classes_and_says_how_uneven() -> None:
    made = class_weights("auto", counts(*PIXELS), CLASSES)
    assert made.weights is not None
    assert made.weights.tolist() == weights("sqrt", *PIXELS)
    assert made.reason.startswith("auto: sqrt") and "16 times" in made.reason


def test_auto_leaves_nearly_even_classes_alone_and_says_so() -> None:
    made = class_weights("auto", counts(600, 500, 450, 0), CLASSES)
    assert made.weights is None
    assert "nearly even" in made.reason and "1.3 : 1" in made.reason


def test_none_is_an_unweighted_loss() -> None:
    assert class_weights("none", counts(*PIXELS), CLASSES).weights is None


@pytest.mark.parametrize("text", ["1,5,2.5,0", " 1 , 5 ,2.5, 0 ", "1,5,2.5,0,"])
def test_numbers_are_taken_as_given(text: str) -> None:
    assert weights(text, *PIXELS) == [1, 5, 2.5, 0]


@pytest.mark.parametrize("text", ["1\n5\n2.5\n0\n", "1,5,2.5,0", "\ufeff1\r\n5\r\n2.5\r\n0\r\n"])
def test_a_file_has_a_number_a_line_or_commas(tmp_path: Path, text: str) -> None:
    path = tmp_path / "weights.txt"
    path.write_bytes(text.encode())
    assert weights(str(path), *PIXELS) == [1, 5, 2.5, 0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2,3", "4 numbers are needed (_background_, disc, bar, ghost), got 3"),
        ("1,2,3,4,5", "got 5"),
        ("1,2,x,4", "'1,2,x,4'"),
        ("1,2,-3,4", "numbers from 0 on"),
        ("1,2,nan,4", "numbers from 0 on"),
        ("1,2,1e999,4", "numbers from 0 on"),
        ("0,0,0,0", "at least one above 0"),
        ("invers", "class weights 'invers' is not known. Did you mean 'inverse'?"),
        ("absent.txt", "class weights 'absent.txt' is not known."),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        class_weights(text, counts(*PIXELS), CLASSES)
    assert said in str(caught.value)


def test_table_has_a_row_for_every_class() -> None:
    rows = class_weights("1,5,2.5,0", counts(*PIXELS), CLASSES).table(CLASSES)
    assert rows[1] == ("disc", 150, 0.15, 1, 5.0)
    assert rows[3] == ("ghost", 0, 0.0, 0, 0.0)
    plain = class_weights("none", counts(*PIXELS), CLASSES).table(CLASSES)
    assert [row[-1] for row in plain] == [1, 1, 1, 1]
