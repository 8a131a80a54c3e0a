"""What every loss of the table promises; a new loss is tested by being listed."""

import inspect

import pytest
import torch

from toolkit.losses import LOSSES
from toolkit.losses.build import CLASSES, PARAMETERS, build_loss

IGNORE = 255

CASES = [(name, K) for name in LOSSES for K in ((CLASSES[name],) if name in CLASSES else (2, 4, 21))]
every_loss = pytest.mark.parametrize(("name", "K"), CASES)
weightings = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])


def weights_for(K: int, weighted: bool) -> torch.Tensor | None:
    """The last of more than two classes has weight 0."""
    if not weighted:
        return None
    weights = torch.linspace(0.5, 2.0, K)
    weights[2:][-1:] = 0
    return weights


def loss_of(
    name: str, weights: torch.Tensor | None, logits: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss and its gradient at the logits."""
    logits = logits.clone().requires_grad_()
    loss = build_loss(name, weights, logits.shape[1])(logits, targets)
    loss.backward()
    assert logits.grad is not None
    return loss.detach(), logits.grad


def scene(K: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, K, 6, 5, generator=generator)
    targets = torch.randint(0, K, (2, 6, 5), generator=generator)
    targets[:, :2] = IGNORE
    return logits, targets


def shown(targets: torch.Tensor, K: int) -> torch.Tensor:
    """1 at the true class, else 0: (N, K, H, W)."""
    return torch.nn.functional.one_hot(targets.where(targets != IGNORE, 0), K).movedim(3, 1).float()


@every_loss
@weightings
def test_a_loss_is_one_finite_number_of_full_precision(name: str, K: int, weighted: bool) -> None:
    loss, gradient = loss_of(name, weights_for(K, weighted), *scene(K))
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert loss.isfinite() and loss > 0
    assert gradient.isfinite().all() and gradient.any()


@every_loss
@weightings
def test_nothing_to_count_gives_zero_and_no_gradient(name: str, K: int, weighted: bool) -> None:
    logits, targets = scene(K)
    loss, gradient = loss_of(name, weights_for(K, weighted), logits, torch.full_like(targets, IGNORE))
    assert float(loss) == 0
    assert not gradient.any()


@every_loss
def test_classes_of_weight_zero_alone_give_zero_and_no_gradient(name: str, K: int) -> None:
    logits, targets = scene(K)
    weights = torch.ones(K)
    weights[1] = 0
    loss, gradient = loss_of(name, weights, logits, torch.full_like(targets, 1))
    assert float(loss) == 0
    assert not gradient.any()


@every_loss
def test_a_class_of_weight_zero_is_as_good_as_ignored(name: str, K: int) -> None:
    logits, targets = scene(K)
    weights = torch.linspace(0.5, 2.0, K)
    weights[1] = 0
    hidden = targets.where(targets != 1, IGNORE)
    torch.testing.assert_close(loss_of(name, weights, logits, targets), loss_of(name, weights, logits, hidden))
    assert not loss_of(name, weights, logits, targets)[1].movedim(1, 3)[targets == 1].any()


@every_loss
@weightings
def test_ignored_pixels_do_not_matter(name: str, K: int, weighted: bool) -> None:
    logits, targets = scene(K)
    expected, gradient = loss_of(name, weights_for(K, weighted), logits, targets)
    assert not gradient[:, :, :2].any()
    other = logits.clone()
    other[:, :, :2] = 50 * torch.randn(2, K, 2, 5, generator=torch.Generator().manual_seed(9))
    torch.testing.assert_close(loss_of(name, weights_for(K, weighted), other, targets)[0], expected)


@every_loss
@weightings
def test_padding_with_ignore_does_not_change_the_loss(name: str, K: int, weighted: bool) -> None:
    logits, targets = scene(K)
    padded = torch.nn.functional.pad(targets, (0, 3, 0, 2), value=IGNORE)
    wide = torch.nn.functional.pad(logits, (0, 3, 0, 2))
    expected = loss_of(name, weights_for(K, weighted), logits, targets)[0]
    torch.testing.assert_close(loss_of(name, weights_for(K, weighted), wide, padded)[0], expected)


@every_loss
@weightings
def test_better_logits_cost_less_and_perfect_ones_nothing(name: str, K: int, weighted: bool) -> None:
    _, targets = scene(K)
    weights = weights_for(K, weighted)
    perfect, good, soso, bad = (loss_of(name, weights, f * shown(targets, K), targets)[0] for f in (60.0, 8.0, 1, -8.0))
    assert perfect < 1e-5
    assert perfect < good < soso < bad


@every_loss
def test_classes_that_are_absent_cost_nothing(name: str, K: int) -> None:
    """Of K classes one is there, and it is recognised."""
    _, targets = scene(K)
    only = targets.where(targets == IGNORE, 0)
    assert loss_of(name, None, 60 * shown(only, K), only)[0] < 1e-5


@every_loss
def test_the_heavier_class_matters_more(name: str, K: int) -> None:
    """Class 0 is recognised, class 1 is not."""
    targets = torch.arange(2).repeat(1, 4, 8)
    logits = 6 * shown(torch.zeros_like(targets), K)
    weights = torch.ones(K)
    plain = loss_of(name, weights, logits, targets)[0]
    torch.testing.assert_close(loss_of(name, None, logits, targets)[0], plain)
    weights[1] = 9
    heavy = loss_of(name, weights, logits, targets)[0]
    assert heavy > plain or (name == "ohem" and heavy == plain)  # all that it keeps is of class 1


@every_loss
@weightings
def test_the_order_in_the_batch_does_not_matter(name: str, K: int, weighted: bool) -> None:
    logits, targets = scene(K)
    loss, gradient = loss_of(name, weights_for(K, weighted), logits, targets)
    turned, turned_gradient = loss_of(name, weights_for(K, weighted), logits.flip(0), targets.flip(0))
    torch.testing.assert_close((turned, turned_gradient.flip(0)), (loss, gradient))


@every_loss
def test_memory_format_does_not_matter(name: str, K: int) -> None:
    logits, targets = scene(K)
    last = logits.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(loss_of(name, None, last, targets), loss_of(name, None, logits, targets))


@every_loss
@weightings
def test_one_pixel(name: str, K: int, weighted: bool) -> None:
    logits, targets = torch.zeros(1, K, 1, 1), torch.ones(1, 1, 1, dtype=torch.long)
    loss, gradient = loss_of(name, weights_for(K, weighted), logits, targets)
    assert loss > 0 and gradient.isfinite().all()
    assert gradient[0, 1] < 0


@every_loss
def test_enormous_logits_stay_finite(name: str, K: int) -> None:
    logits, targets = scene(K)
    loss, gradient = loss_of(name, None, 1e4 * logits, targets)
    assert loss.isfinite() and gradient.isfinite().all()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@every_loss
def test_sixteen_bit_logits_are_summed_in_full_precision(name: str, K: int, kind: torch.dtype) -> None:
    """A sum over 40,000 pixels in 16 bits would stop growing, or overflow. Nor does autocast change it."""
    generator = torch.Generator().manual_seed(1)
    side = 200 if K < 21 else 60
    logits = torch.randn(1, K, side, side, generator=generator).to(kind)
    targets = torch.randint(0, K, (1, side, side), generator=generator)
    expected = loss_of(name, None, logits.float(), targets)[0]
    with torch.autocast("cpu", torch.bfloat16):
        loss, gradient = loss_of(name, None, logits, targets)
    assert gradient.dtype == kind
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", list(LOSSES))
def test_parameters_of_the_table_are_those_of_the_module(name: str) -> None:
    offered = {parameter.name: parameter.default for parameter in PARAMETERS.get(name, ())}
    signature = inspect.signature(LOSSES.load(name)).parameters.values()
    assert offered == {p.name: p.default for p in signature if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize(
    "text",
    [f"{name}:{p.name}={value}" for name in PARAMETERS for p in PARAMETERS[name] for value in (p.lowest, p.highest)],
)
def test_the_whole_range_of_a_parameter_is_finite(text: str) -> None:
    for factor in (1.0, 1e4):
        logits, targets = scene(2)
        loss, gradient = loss_of(text, None, factor * logits, targets)
        assert loss.isfinite() and gradient.isfinite().all()


def test_parameters_are_those_of_losses_that_exist() -> None:
    assert set(PARAMETERS) | set(CLASSES) <= set(LOSSES)
