"""Class weights: each method by hand, against scikit-learn, and at the ends of what can be counted."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from tests.datasets import mask_of, write_list, write_mask, write_voc
from tests.test_architecture import modules_after
from toolkit.errors import DatasetError, UsageError
from toolkit.labels.classmap import ClassMap
from toolkit.losses.class_weights import METHODS, ClassWeights, class_weights, weights_from_counts
from toolkit.losses.weights_table import counts_table, weights_table
from toolkit.voc.counts import PixelCounts

PIXELS = (800, 150, 50, 0)  # shares 0.8, 0.15, 0.05, 0
AMONG = (1000, 500, 400, 0)  # background is everywhere, the disc in half of the pictures, the bar in fewer

every_method = pytest.mark.parametrize("method", METHODS)


def classes_for(pixels: tuple[int, ...]) -> ClassMap:
    return ClassMap(("_background_", "disc", "bar", "ghost", *map(str, range(4, len(pixels))))[: len(pixels)])


def counts(*pixels: int, among: tuple[int, ...] = (), images: tuple[int, ...] = ()) -> PixelCounts:
    """Of ten pictures; each class that occurs is in all of them, if nothing else is said."""
    each = np.array(pixels, np.int64)
    present = (each > 0).astype(np.int64)
    return PixelCounts(
        each,
        np.array(images, np.int64) if images else present * 10,
        among=np.array(among, np.int64) if among else present * sum(pixels),
        ignored=17,
        total=10,
    )


def made(
    choice: str, *pixels: int, among: tuple[int, ...] = (), images: tuple[int, ...] = (), names: tuple[str, ...] = ()
) -> ClassWeights:
    classes = ClassMap(names) if names else classes_for(pixels)
    return weights_from_counts(choice, counts(*pixels, among=among, images=images), classes)


def weights(choice: str, *pixels: int, among: tuple[int, ...] = ()) -> list[float]:
    found = made(choice, *pixels, among=among).weights
    assert found is not None
    assert found.dtype == np.float64
    values: list[float] = found.tolist()
    return values


N = (800 + 150 + 50) / 3  # mean pixels of the classes that occur
BETA = (N - 1) / N

BY_HAND = {
    # each before scaling
    "inverse": (1 / 0.8, 1 / 0.15, 1 / 0.05),
    "sqrt": (0.8**-0.5, 0.15**-0.5, 0.05**-0.5),
    "median": (0.3 / 0.8, 0.3 / 0.3, 0.3 / 0.125),  # freq = 800/1000, 150/500, 50/400: their median is 0.3
    "enet": (1 / math.log(1.82), 1 / math.log(1.17), 1 / math.log(1.07)),
    "effective": tuple((1 - BETA) / (1 - BETA**n) for n in PIXELS[:3]),
}


def test_every_method_is_computed_by_hand_here() -> None:
    assert set(BY_HAND) == set(METHODS)


@every_method
def test_method_as_by_hand_with_expected_weight_1_and_0_for_an_absent_class(method: str) -> None:
    expected = 0.8 * BY_HAND[method][0] + 0.15 * BY_HAND[method][1] + 0.05 * BY_HAND[method][2]
    by_hand = [*(w / expected for w in BY_HAND[method]), 0.0]
    assert weights(method, *PIXELS, among=AMONG) == pytest.approx(by_hand, rel=1e-12)


def test_two_even_classes_of_which_one_is_in_few_pictures() -> None:
    """By the paper, rarity by picture is not made up for: freq is 0.5 and 0.25 of 100 and 200 pixels; weights 2/3, 4/3."""
    assert weights("median", 50, 50, among=(100, 200)) == pytest.approx([2 / 3, 4 / 3])
    assert weights("inverse", 50, 50, among=(100, 200)) == pytest.approx([1, 1])


def test_effective_with_the_beta_of_the_paper() -> None:
    """Samples 4 and 1 at beta 0.5: (1 - 0.5) / (1 - 0.5**4) = 8 / 15 and 1; expected 0.8 * 8 / 15 + 0.2 = 47 / 75."""
    assert weights("effective:0.5", 4, 1) == pytest.approx([8 / 15 * 75 / 47, 75 / 47])
    beta = 0.9999
    one, two = ((1 - beta) / (1 - beta**n) for n in (20_000, 1_000))
    expected = one * 20 / 21 + two / 21
    assert weights("effective:0.9999", 20_000, 1_000) == pytest.approx([one / expected, two / expected], rel=1e-9)


def test_effective_keeps_its_digits_where_beta_is_1_but_for_the_last_bits() -> None:
    """N is half of 10**15, so the large class has 1 - exp(-2) of its effect, the single pixel 1 / N."""
    large, small = weights("effective", 10**15, 1)
    assert small / large == pytest.approx(5e14 * -math.expm1(-2), rel=1e-9)
    large, small = weights("effective:0.9999999999999999", 10**15, 1)
    assert small / large == pytest.approx(-math.expm1(-0.1110223) / 2**-53, rel=1e-5)


def test_effective_goes_from_no_weights_to_inverse() -> None:
    pixels = (10**7, 10**5, 10**3)
    assert weights("effective:0", *pixels) == pytest.approx([1, 1, 1])
    assert weights("effective:0.9999999999999", *pixels) == pytest.approx(weights("inverse", *pixels), rel=1e-3)
    assert weights("effective:0.9999", 10**9, 10**7, 10**6) == pytest.approx([1, 1, 1]), (
        "why there is a default of ours"
    )
    assert weights("effective", 10**9, 10**7, 10**6)[2] > 100


@pytest.mark.parametrize("pixels", [(7000, 900, 2100), (1, 10**6), (5, 5), (123_456_789, 3, 77, 10**10)])
def test_inverse_is_scikit_learns_balanced(pixels: tuple[int, ...]) -> None:
    divisor = max(1, sum(pixels) // 20_000)
    y = np.repeat(np.arange(len(pixels)), [max(1, n // divisor) for n in pixels])
    theirs = compute_class_weight("balanced", classes=np.arange(len(pixels)), y=y)
    assert weights("inverse", *np.bincount(y).tolist()) == pytest.approx(theirs.tolist(), rel=1e-12)
    formula = [sum(pixels) / (len(pixels) * n) for n in pixels]
    assert weights("inverse", *pixels) == pytest.approx(formula, rel=1e-12)


@every_method
@given(st.lists(st.integers(1_000, 10**9), min_size=1, max_size=8), st.data())
def test_pictures_of_another_size_give_the_same_weights(method: str, pixels: list[int], data: st.DataObject) -> None:
    among = tuple(data.draw(st.integers(n, sum(pixels))) for n in pixels)
    small = weights(method, *pixels, among=among)
    large = weights(method, *(1000 * n for n in pixels), among=tuple(1000 * n for n in among))
    assert large == pytest.approx(small, rel=1e-3 if method == "effective" else 1e-9)


@every_method
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=8).filter(any))
def test_expected_weight_is_1_absent_classes_weigh_0_and_nothing_is_infinite(method: str, pixels: list[int]) -> None:
    found = np.array(weights(method, *pixels))
    assert (found * np.array(pixels) / sum(pixels)).sum() == pytest.approx(1)
    assert np.isfinite(found).all()
    assert ((found == 0) == (np.array(pixels) == 0)).all()
    assert np.isfinite(found.astype(np.float32)).all()


@every_method
@pytest.mark.parametrize("pixels", [(10**12, 1), (10**12, 1, 1), (1, 1), (1,), (10**12,)])
def test_one_pixel_among_a_million_million(method: str, pixels: tuple[int, ...]) -> None:
    found = weights(method, *pixels)
    assert all(0 < weight <= 10**12 for weight in found)
    if len(set(pixels)) == 1:
        assert found == pytest.approx([1.0] * len(pixels))
    else:
        assert found[0] < found[1]


@every_method
def test_even_classes_weigh_1_each(method: str) -> None:
    assert weights(method, 500, 500, 500) == pytest.approx([1, 1, 1])


@every_method
def test_rarer_classes_weigh_more(method: str) -> None:
    large, middle, small, _ = weights(method, *PIXELS)
    assert large < 1 < small
    assert large < middle < small


@every_method
def test_binary(method: str) -> None:
    background, crack = weights(method, 990, 10)
    assert background < 1 < crack
    assert 0.99 * background + 0.01 * crack == pytest.approx(1)


def test_auto_with_two_classes_names_them() -> None:
    found = made("auto", 992, 8, names=("_background_", "crack"))
    assert found.method == "sqrt"
    assert "because '_background_' has 124 times the pixels of 'crack'" in found.reason


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_nothing_counted_gives_no_error(method: str) -> None:
    found = made(method, 0, 0, 0, 0)
    assert found.weights is None or not found.weights.any()


def test_auto_takes_sqrt_for_uneven_classes_and_says_how_uneven() -> None:
    found = made("auto", *PIXELS)
    assert found.weights is not None
    assert found.weights.tolist() == weights("sqrt", *PIXELS)
    assert found.reason.startswith("auto: sqrt") and "16 times" in found.reason


@pytest.mark.parametrize(("pixels", "said"), [((600, 500, 450, 0), "1.3 : 1"), ((1, 0, 0), "not two classes")])
def test_auto_leaves_nearly_even_classes_alone_and_says_so(pixels: tuple[int, ...], said: str) -> None:
    found = made("auto", *pixels)
    assert (found.method, found.weights) == ("none", None)
    assert found.values.tolist() == [1] * len(pixels)
    assert said in found.reason


def test_none_is_an_unweighted_loss() -> None:
    assert made("none", *PIXELS).weights is None


@pytest.mark.parametrize("text", ["1", "1.5", "-0.1", "nan", "inf", "", "x", "0.9.9"])
def test_beta_out_of_range(text: str) -> None:
    with pytest.raises(UsageError, match="beta is a number from 0 to below 1"):
        made(f"effective:{text}", *PIXELS)


@pytest.mark.parametrize(
    ("choice", "meant"),
    [("invers", "inverse"), ("Median", "median"), ("efective:0.9", "effective"), ("none ", "none")],
)
def test_unknown_names_get_the_closest_one(choice: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(choice, *PIXELS)
    assert f"class weights '{choice}' is not known. Did you mean '{meant}'?" in str(caught.value)
    assert "w0,w1,..., FILE" in str(caught.value)


@pytest.mark.parametrize("choice", ["auto", "none", "enet", "1,2,3"])
def test_healthy_classes_are_not_warned_about(choice: str) -> None:
    assert made(choice, 900_000, 90_000, 10_000).warnings == ()


def test_absent_classes_are_warned_about_once() -> None:
    (warning,) = made("sqrt", 100, 0, 100).warnings
    assert warning.startswith("class 'disc' is in no training image (weight 0): ")
    assert "seg split" in warning
    for choice in ("none", "1,5,1"):
        (warning,) = made(choice, 100, 0, 100).warnings
        assert warning.startswith("class 'disc' is in no training image: "), "its weight is not 0"


def test_classes_in_few_images_are_named_with_how_many() -> None:
    (warning,) = made("sqrt", 100, 5, 100, images=(10, 1, 3)).warnings
    assert warning.startswith("class 'disc' (1 image) is in fewer than 3 training images")
    (warning,) = made("none", 100, 5, 100, images=(10, 1, 2)).warnings
    assert warning.startswith("classes 'disc' (1 image), 'bar' (2 images) are in fewer than 3 training images")


def test_tiny_classes_are_those_below_8_by_8_pixels_of_a_picture_they_are_in() -> None:
    among = (512 * 512 * 10, 512 * 512 * 10, 512 * 512 * 3)
    assert made("sqrt", 10**6, 640, 192, among=among).warnings == ()
    (warning,) = made("sqrt", 10**6, 639, 192, among=among).warnings
    assert warning.startswith(
        "class 'disc' (63.9 pixels) is too small to learn: below 64 pixels of a 512 x 512 picture"
    )
    (warning,) = made("sqrt", 10**6, 640, 96, among=among).warnings
    assert warning.startswith("class 'bar' (32.0 pixels) is too small to learn")
    assert "tiles" in warning and "--size" in warning


def test_a_class_is_warned_about_once_only() -> None:
    among = (10**9, 10**9, 10**9, 0)
    found = made("1,0,1,1", 10**9, 1, 1, 0, among=among, images=(10, 1, 1, 0)).warnings
    assert [sum(f"'{name}'" in warning for warning in found) for name in ("disc", "bar", "ghost")] == [1, 1, 1]
    assert any(warning == "class 'disc' is not learnt: weight 0, as given." for warning in found)


def test_many_classes_make_one_sentence() -> None:
    (warning,) = made("sqrt", 100, *[0] * 60).warnings
    assert warning.startswith("classes 'disc', ") and " and 52 more are in no training image" in warning


@pytest.mark.parametrize(("method", "ratio"), [("inverse", "2,400"), ("median", "2,400"), ("effective", "1,038")])
def test_weights_far_apart_are_warned_about(method: str, ratio: str) -> None:
    """`effective`: the mean is 120,050,000 pixels; 1 - exp(-2400 / 1200.5) = 0.8645 and 1 - exp(-1 / 1200.5) = 1 / 1201."""
    (warning,) = made(method, 24 * 10**7, 10**5).warnings
    assert warning.startswith(f"'disc' weighs {ratio} times as much as '")
    assert warning.endswith("sqrt and enet are gentler.")
    assert made(method, 9 * 10**7, 10**5).warnings == ()


@pytest.mark.parametrize("choice", ["sqrt", "enet", "effective:0.999999", "none", "1,5000"])
def test_gentle_weights_and_given_ones_are_not_called_far_apart(choice: str) -> None:
    assert made(choice, 24 * 10**7, 10**5).warnings == ()


def test_table_is_straight_with_letters_two_cells_wide() -> None:
    names = ("_background_", "歩行者", "x" * 60)
    lines = counts_table(counts(800, 150, 0), ClassMap(names), {"a": np.array([0.5, 1234.5, 0.0])})
    assert lines == [
        "class                                     pixels    share  images         a",
        "_background_                                 800  84.211%      10     0.500",
        "歩行者                                       150  15.789%      10  1.23e+03",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...       0   0.000%       0         0",
        "10 training images, 950 pixels counted, 17 pixels ignored",
    ]


def test_table_of_a_choice_shows_what_the_loss_will_use() -> None:
    lines = weights_table(made("none", 10, 30))
    assert [line.split() for line in lines[:3]] == [
        ["class", "pixels", "share", "images", "weight"],
        ["_background_", "10", "25.000%", "10", "1.00"],
        ["disc", "30", "75.000%", "10", "1.00"],
    ]


def test_only_the_train_list_is_counted(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", train=4, val=2)
    before = class_weights(root, "inverse")
    assert before.counts.total == 4
    assert before.counts.pixels.tolist() == [
        int(sum((mask_of(root, f"pic_{i}") == k).sum() for i in range(4))) for k in range(3)
    ]
    for stem in ("pic_4", "pic_5"):
        write_mask(root, stem, np.full_like(mask_of(root, stem), 2))
    assert class_weights(root, "inverse").as_dict() == before.as_dict()
    write_mask(root, "pic_0", np.full_like(mask_of(root, "pic_0"), 2))
    assert class_weights(root, "inverse").as_dict() != before.as_dict()


def test_a_fold_is_counted_by_its_own_list(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", train=4, val=2)
    (root / "ImageSets" / "Segmentation" / "fold_2").mkdir()
    write_list(root, "fold_2/train", ["pic_5", "pic_1"])
    counts = class_weights(root, "inverse", fold=2).counts
    assert counts.pixels.tolist() == [
        int(sum((mask_of(root, f"pic_{i}") == k).sum() for i in (1, 5))) for k in range(3)
    ]
    with pytest.raises(DatasetError, match=r"There are folds 2\."):
        class_weights(root, fold=1)


def test_ignore_is_counted_nowhere(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", train=3)
    stem = "pic_1"
    mask = mask_of(root, stem)
    ignored = class_weights(root).counts.ignored
    labelled = mask[mask != 255]
    write_mask(root, stem, np.full_like(mask, 255))
    found = class_weights(root).counts
    assert found.ignored == ignored + labelled.size
    assert found.pixels.sum() == sum((mask_of(root, f"pic_{i}") != 255).sum() for i in (0, 2))


def test_all_ignore_and_empty_lists_are_refused(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", train=2)
    for index in range(2):
        write_mask(root, f"pic_{index}", np.full_like(mask_of(root, f"pic_{index}"), 255))
    with pytest.raises(DatasetError, match=r"train\.txt: every pixel of the training masks is ignore"):
        class_weights(root)
    write_list(root, "train", [])
    with pytest.raises(DatasetError, match=r"train\.txt: names no image\. .*seg split"):
        class_weights(root)


def test_a_wrong_choice_is_refused_before_anything_is_counted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'sqrt'"):
        class_weights(tmp_path / "nowhere", "sqr")


def test_weights_are_computed_without_torch() -> None:
    modules = modules_after("import toolkit.losses.class_weights, toolkit.losses.weights_table")
    assert "numpy" in modules
    assert not modules & {"torch", "torchvision", "cv2"}
