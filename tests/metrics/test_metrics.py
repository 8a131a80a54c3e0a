"""Scores against torchmetrics and scikit-learn, and by hand."""

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
import sklearn.metrics
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_jaccard_index,
    multiclass_precision,
    multiclass_recall,
)

from toolkit.metrics import Confusion, Scores

K = 5
IGNORE = 255
NAMES = tuple(f"class {k}" for k in range(K))
Pixels = npt.NDArray[np.uint8]


def masks(seed: int) -> tuple[Pixels, Pixels]:
    """Random truth with ignore and a prediction that is right for about half of the pixels."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(K, (40, 50), p=[0.6, 0.2, 0.1, 0.07, 0.03]).astype(np.uint8)
    prediction = np.where(rng.random(truth.shape) < 0.5, truth, rng.integers(0, K, truth.shape)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.2] = IGNORE
    return truth, prediction


def scores_of(truth: Pixels, prediction: Pixels, classes: int = K) -> Scores:
    confusion = Confusion(classes)
    confusion.add(truth, prediction)
    return confusion.scores([f"class {k}" for k in range(classes)])


@pytest.mark.parametrize("seed", range(3))
def test_equals_torchmetrics(seed: int) -> None:
    truth, prediction = masks(seed)
    confusion = Confusion(K)
    confusion.add(truth, prediction)
    p, t = torch.from_numpy(prediction).long(), torch.from_numpy(truth).long()
    theirs = multiclass_confusion_matrix(p, t, K, ignore_index=IGNORE)
    assert np.array_equal(confusion.counts, theirs.numpy())
    ours = confusion.scores(NAMES)
    for mine, function in (
        (ours.iou, multiclass_jaccard_index),
        (ours.recall, multiclass_recall),
        (ours.precision, multiclass_precision),
        (ours.dice, multiclass_f1_score),
    ):
        each = function(p, t, num_classes=K, average="none", ignore_index=IGNORE)
        assert mine == pytest.approx(each.tolist(), abs=1e-6)
    jaccard = multiclass_jaccard_index(p, t, K, average="macro", ignore_index=IGNORE)
    weighted = multiclass_jaccard_index(p, t, K, average="weighted", ignore_index=IGNORE)
    accuracy = multiclass_accuracy(p, t, K, average="micro", ignore_index=IGNORE)
    assert ours.miou == pytest.approx(float(jaccard), abs=1e-6)
    assert ours.fw_iou == pytest.approx(float(weighted), abs=1e-6)
    assert ours.pixel_accuracy == pytest.approx(float(accuracy), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_equals_scikit_learn_on_the_pixels_that_count(seed: int) -> None:
    truth, prediction = masks(seed)
    t, p = truth[truth != IGNORE], prediction[truth != IGNORE]
    ours = scores_of(truth, prediction)
    assert ours.iou == pytest.approx(sklearn.metrics.jaccard_score(t, p, average=None))
    assert ours.miou == pytest.approx(sklearn.metrics.jaccard_score(t, p, average="macro"))
    assert ours.fw_iou == pytest.approx(sklearn.metrics.jaccard_score(t, p, average="weighted"))
    assert ours.mean_recall == pytest.approx(sklearn.metrics.balanced_accuracy_score(t, p))
    assert ours.mean_precision == pytest.approx(sklearn.metrics.precision_score(t, p, average="macro"))
    assert ours.pixel_accuracy == pytest.approx(sklearn.metrics.accuracy_score(t, p))


def test_rows_are_truth_and_columns_prediction() -> None:
    confusion = Confusion(3)
    confusion.add(np.array([[0, 0, 1, 255]], np.uint8), np.array([[0, 2, 1, 1]], np.uint8))
    assert confusion.counts.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_four_pixels_by_hand() -> None:
    ours = scores_of(np.array([[0, 0, 0, 1]], np.uint8), np.array([[0, 0, 1, 1]], np.uint8), classes=2)
    assert ours.iou == pytest.approx((2 / 3, 1 / 2))
    assert ours.recall == pytest.approx((2 / 3, 1))
    assert ours.precision == pytest.approx((1, 1 / 2))
    assert ours.dice == pytest.approx((4 / 5, 2 / 3))
    assert ours.mean_dice == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert ours.pixel_accuracy == 3 / 4
    assert ours.miou == pytest.approx(7 / 12)
    assert ours.fw_iou == pytest.approx(3 / 4 * 2 / 3 + 1 / 4 * 1 / 2)


def test_a_perfect_prediction_of_2_of_21_classes_scores_1() -> None:
    truth = np.zeros((30, 30), np.uint8)
    truth[10:20] = 15
    ours = scores_of(truth, truth, classes=21)
    assert (ours.miou, ours.pixel_accuracy, ours.mean_recall, ours.mean_precision, ours.fw_iou) == (1, 1, 1, 1, 1)
    assert [k for k, iou in enumerate(ours.iou) if not math.isnan(iou)] == [0, 15]


def test_a_class_that_is_missed_and_one_that_is_invented_score_0_and_count() -> None:
    truth, prediction = np.array([[0, 0, 1]], np.uint8), np.array([[0, 0, 2]], np.uint8)
    ours = scores_of(truth, prediction, classes=4)
    assert ours.iou[:3] == (1, 0, 0) and math.isnan(ours.iou[3])
    assert ours.miou == pytest.approx(1 / 3)
    assert ours.precision[:3] == (1, 0, 0) and ours.mean_precision == pytest.approx(1 / 3)
    assert math.isnan(ours.recall[2]), "class 2 is in no truth: there is nothing to recall"


def test_all_ignored_has_no_score_and_raises_no_warning() -> None:
    ours = scores_of(np.full((4, 4), IGNORE, np.uint8), np.zeros((4, 4), np.uint8))
    assert all(math.isnan(value) for value in (ours.miou, ours.pixel_accuracy, ours.fw_iou, *ours.iou))
    plain = json.loads(json.dumps(ours.as_dict(), allow_nan=False))
    assert plain["miou"] is None
    assert plain["classes"]["class 0"]["iou"] is None


def test_images_and_processes_are_added_up_in_any_order() -> None:
    parts = [masks(seed) for seed in range(4)]
    whole = Confusion(K)
    whole.add(np.concatenate([t for t, _ in parts]), np.concatenate([p for _, p in parts]))
    one, other = Confusion(K), Confusion(K)
    for confusion, chosen in ((one, parts[2:]), (other, parts[:2])):
        for truth, prediction in chosen:
            confusion.add(truth, prediction)
    one.counts += other.counts
    assert np.array_equal(one.counts, whole.counts)
    assert one.scores(NAMES) == whole.scores(NAMES)


def test_a_score_is_of_all_pixels_and_not_the_mean_over_images() -> None:
    confusion = Confusion(2)
    confusion.add(np.array([[0, 1]], np.uint8), np.array([[1, 1]], np.uint8))
    confusion.add(np.zeros((1, 98), np.uint8), np.zeros((1, 98), np.uint8))
    assert confusion.scores(("a", "b")).pixel_accuracy == 0.99


def test_counts_beyond_2_to_the_24_are_exact() -> None:
    """Where 32-bit floats stop counting."""
    truth = np.ones((4200, 4200), np.uint8)
    prediction = truth.copy()
    prediction[0, 0] = 0
    confusion = Confusion(2)
    confusion.add(truth, prediction)
    confusion.add(truth, truth)
    assert confusion.counts.tolist() == [[0, 0], [1, 2 * 4200**2 - 1]]
    confusion.counts *= 2**30
    assert confusion.scores(("a", "b")).recall[1] == pytest.approx(1 - 1 / (2 * 4200**2), abs=1e-15)


def test_what_cannot_be_compared_is_refused() -> None:
    confusion = Confusion(2)
    with pytest.raises(ValueError, match="differ in shape"):
        confusion.add(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
    with pytest.raises(ValueError, match="id 2, but there are 2 classes"):
        confusion.add(np.array([[2]], np.uint8), np.array([[0]], np.uint8))
    with pytest.raises(ValueError, match="id 255"):
        confusion.add(np.array([[1]], np.uint8), np.array([[IGNORE]], np.uint8))
    assert not confusion.counts.any()


def test_plain_values_have_every_class_by_name() -> None:
    truth, prediction = masks(0)
    ours = scores_of(truth, prediction)
    plain = ours.as_dict()
    assert list(plain["classes"]) == list(NAMES)
    assert plain["classes"]["class 3"]["dice"] == pytest.approx(ours.dice[3], abs=1e-6)
