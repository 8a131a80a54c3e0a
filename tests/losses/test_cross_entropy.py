"""Cross-entropy against torch's own, and by hand."""

import math

import pytest
import torch

from toolkit.losses.cross_entropy import CrossEntropy


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
