"""What every loss of the table promises; a new loss is tested by being listed."""

import pytest
import torch

from toolkit.losses import LOSSES

every_loss = pytest.mark.parametrize("name", list(LOSSES))
weightings = pytest.mark.parametrize("weights", [None, (0.5, 2.0, 0.0, 1.0)], ids=["plain", "weighted"])

IGNORE = 255


def loss_of(
    name: str, weights: tuple[float, ...] | None, logits: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss and its gradient at the logits."""
    logits = logits.clone().requires_grad_()
    loss = LOSSES.load(name)(None if weights is None else torch.tensor(weights))(logits, targets)
    loss.backward()
    assert logits.grad is not None
    return loss.detach(), logits.grad


def scene(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 4, 6, 5, generator=generator)
    targets = torch.randint(0, 4, (2, 6, 5), generator=generator)
    targets[:, :2] = IGNORE
    return logits, targets


@every_loss
@weightings
def test_a_loss_is_one_finite_number_of_full_precision(name: str, weights: tuple[float, ...] | None) -> None:
    loss, gradient = loss_of(name, weights, *scene())
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert loss.isfinite() and loss > 0
    assert gradient.isfinite().all() and gradient.any()


@every_loss
@weightings
def test_nothing_to_count_gives_zero_and_no_gradient(name: str, weights: tuple[float, ...] | None) -> None:
    logits, targets = scene()
    loss, gradient = loss_of(name, weights, logits, torch.full_like(targets, IGNORE))
    assert float(loss) == 0
    assert not gradient.any()


@every_loss
def test_classes_of_weight_zero_alone_give_zero_and_no_gradient(name: str) -> None:
    logits, targets = scene()
    loss, gradient = loss_of(name, (1.0, 1.0, 0.0, 1.0), logits, torch.full_like(targets, 2))
    assert float(loss) == 0
    assert not gradient.any()


@every_loss
@weightings
def test_ignored_pixels_do_not_matter(name: str, weights: tuple[float, ...] | None) -> None:
    logits, targets = scene()
    expected, gradient = loss_of(name, weights, logits, targets)
    assert not gradient[:, :, :2].any()
    other = logits.clone()
    other[:, :, :2] = 50 * torch.randn(2, 4, 2, 5)
    torch.testing.assert_close(loss_of(name, weights, other, targets)[0], expected)


@every_loss
@weightings
def test_padding_with_ignore_does_not_change_the_loss(name: str, weights: tuple[float, ...] | None) -> None:
    logits, targets = scene()
    padded = torch.nn.functional.pad(targets, (0, 3, 0, 2), value=IGNORE)
    wide = torch.nn.functional.pad(logits, (0, 3, 0, 2))
    expected = loss_of(name, weights, logits, targets)[0]
    torch.testing.assert_close(loss_of(name, weights, wide, padded)[0], expected)


@every_loss
@weightings
def test_better_logits_cost_less(name: str, weights: tuple[float, ...] | None) -> None:
    _, targets = scene()
    shown = torch.nn.functional.one_hot(targets.where(targets != IGNORE, 0), 4).permute(0, 3, 1, 2).float()
    good, soso, bad = (loss_of(name, weights, factor * shown, targets)[0] for factor in (8.0, 1.0, -8.0))
    assert good < soso < bad


@every_loss
def test_enormous_logits_stay_finite(name: str) -> None:
    logits, targets = scene()
    loss, gradient = loss_of(name, None, 1e4 * logits, targets)
    assert loss.isfinite() and gradient.isfinite().all()


@every_loss
def test_sixteen_bit_logits_are_summed_in_full_precision(name: str) -> None:
    """A sum over 40,000 pixels in 16 bits would stop growing, or overflow."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, 4, 200, 200, generator=generator).to(torch.bfloat16)
    targets = torch.randint(0, 4, (1, 200, 200), generator=generator)
    halved = loss_of(name, None, logits, targets)[0]
    torch.testing.assert_close(halved, loss_of(name, None, logits.float(), targets)[0])
