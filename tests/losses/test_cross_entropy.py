"""Cross-entropy against torch's own, and by hand."""

import math

import pytest
import torch

from toolkit.errors import UsageError
from toolkit.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy


@pytest.mark.parametrize("weights", [None, (0.2, 3.0, 1.0), (0.0, 1.0, 2.5)])
def test_equals_torch_with_weights_and_ignore(weights: tuple[float, ...] | None) -> None:
    torch.manual_seed(2)
    logits, targets = 4 * torch.randn(3, 3, 7, 9), torch.randint(0, 3, (3, 7, 9))
    targets[torch.rand(targets.shape) < 0.3] = 255
    given = None if weights is None else torch.tensor(weights)
    theirs = torch.nn.functional.cross_entropy(logits, targets, given, ignore_index=255)
    torch.testing.assert_close(CrossEntropy(given)(logits, targets), theirs)


def test_two_pixels_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 1.0]], [[0.0, 3.0]]]])  # (1, 2, 1, 2)
    targets = torch.tensor([[[0, 1]]])
    first, second = math.log(2), math.log(1 + math.exp(-2))
    assert float(CrossEntropy()(logits, targets)) == pytest.approx((first + second) / 2)
    weighted = CrossEntropy(torch.tensor([1.0, 3.0]))(logits, targets)
    assert float(weighted) == pytest.approx((first + 3 * second) / 4)


def test_weights_follow_the_model_to_its_device_and_type() -> None:
    loss = CrossEntropy(torch.tensor([1.0, 2.0])).to("meta")
    assert [str(buffer.device) for buffer in loss.buffers()] == ["meta"]


def test_a_class_of_weight_0_is_as_good_as_ignored() -> None:
    torch.manual_seed(3)
    logits, targets = 4 * torch.randn(2, 3, 7, 9), torch.randint(0, 3, (2, 7, 9))
    found = []
    for shown in (targets, targets.where(targets != 1, 255)):
        given = logits.clone().requires_grad_()
        loss = CrossEntropy(torch.tensor([0.5, 0.0, 2.0]))(given, shown)
        loss.backward()
        assert given.grad is not None and given.grad.isfinite().all()
        assert not given.grad.permute(0, 2, 3, 1)[targets == 1].any()
        found.append((loss.detach(), given.grad))
    torch.testing.assert_close(*found)
    assert found[0][0] > 0


@pytest.mark.parametrize("loss", [CrossEntropy, BinaryCrossEntropy])
@pytest.mark.parametrize("weights", [None, (0.2, 3.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_smoothing_is_torchs(
    loss: type[CrossEntropy | BinaryCrossEntropy], weights: tuple[float, ...] | None, smoothing: float
) -> None:
    torch.manual_seed(4)
    logits, targets = 4 * torch.randn(3, 2, 7, 9), torch.randint(0, 2, (3, 7, 9))
    targets[torch.rand(targets.shape) < 0.3] = 255
    given = None if weights is None else torch.tensor(weights)
    theirs = torch.nn.functional.cross_entropy(logits, targets, given, ignore_index=255, label_smoothing=smoothing)
    torch.testing.assert_close(loss(given, smoothing=smoothing)(logits, targets), theirs)


def test_smoothing_by_hand() -> None:
    """One pixel, p = (1/4, 3/4), of class 1; a fifth of the target is spread over both classes."""
    logits = torch.tensor([0.0, math.log(3)]).reshape(1, 2, 1, 1)
    targets = torch.ones(1, 1, 1, dtype=torch.long)
    expected = 0.1 * math.log(4) + 0.9 * math.log(4 / 3)
    for loss in (CrossEntropy(smoothing=0.2), BinaryCrossEntropy(smoothing=0.2)):
        assert float(loss(logits, targets)) == pytest.approx(expected)


def test_smoothing_leaves_classes_of_weight_0_out() -> None:
    torch.manual_seed(5)
    logits, targets = torch.randn(1, 3, 7, 9), torch.randint(0, 3, (1, 7, 9))
    loss = CrossEntropy(torch.tensor([1.0, 0.0, 2.0]), smoothing=0.1)
    torch.testing.assert_close(loss(logits, targets), loss(logits, targets.where(targets != 1, 255)))


def test_bce_is_torchs_of_the_difference() -> None:
    torch.manual_seed(6)
    logits, targets = 4 * torch.randn(3, 2, 7, 9), torch.randint(0, 2, (3, 7, 9))
    lead, truth = logits[:, 1] - logits[:, 0], targets.float()
    functional = torch.nn.functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(BinaryCrossEntropy()(logits, targets), functional(lead, truth))
    heavy = functional(lead, truth, pos_weight=torch.tensor(5.0), reduction="sum") / (1 + 4 * truth).sum()
    torch.testing.assert_close(BinaryCrossEntropy(torch.tensor([1.0, 5.0]))(logits, targets), heavy)


def test_bce_refuses_three_classes() -> None:
    with pytest.raises(UsageError, match=r"bce is for 2 classes, got 3\. Use ce"):
        BinaryCrossEntropy()(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long))
