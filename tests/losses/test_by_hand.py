"""Focal, OHEM, Dice, Tversky and Lovász: by hand on two or three pixels, and against plain loops in float64."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from toolkit.losses.build import build_loss

Array = npt.NDArray[np.float64]
IGNORE = 255


def pixels(*second: float) -> torch.Tensor:
    """logits (1, 2, 1, W) of pixels whose p(class 1) is given."""
    p = torch.tensor(second)
    return torch.stack([torch.log(1 - p), torch.log(p)])[None, :, None]


TWO = pixels(0.75, 0.5), torch.tensor([[[1, 0]]])
"""p(true) is 3/4 and 1/2. Class 0: hit 1/2, predicted 3/4, true 1. Class 1: hit 3/4, predicted 5/4, true 1."""


@pytest.mark.parametrize(
    ("text", "weights", "expected"),
    [
        ("focal", None, (math.log(4 / 3) / 16 + math.log(2) / 4) / 2),
        ("focal:gamma=1", None, (math.log(4 / 3) / 4 + math.log(2) / 2) / 2),
        ("focal", (1.0, 3.0), (3 * math.log(4 / 3) / 16 + math.log(2) / 4) / 4),
        ("ohem", None, math.log(2)),  # 3/4 is above the threshold of 0.7
        ("ohem:threshold=0.8", None, (math.log(2) + math.log(4 / 3)) / 2),
        ("ohem:threshold=0.8", (1.0, 3.0), (math.log(2) + 3 * math.log(4 / 3)) / 4),
        ("ohem:threshold=0.4", None, math.log(2)),  # none is below it: the hardest one of a share of 1/16
        ("ohem:threshold=0.4,share=1", None, (math.log(2) + math.log(4 / 3)) / 2),
        ("dice", None, 1 - (4 / 7 + 2 / 3) / 2),
        ("dice", (1.0, 3.0), 1 - (4 / 7 + 3 * 2 / 3) / 4),
        ("dice:smooth=1", None, 1 - (2 / 2.75 + 2.5 / 3.25) / 2),
        # squares: class 0: 1/16 + 1/4 and 1; class 1: 9/16 + 1/4 and 1
        ("dice-squared", None, 1 - (2 / (5 / 16 + 2) + 2.5 / (13 / 16 + 2)) / 2),
        ("ce-dice", None, (math.log(2) + math.log(4 / 3)) / 2 + 1 - (4 / 7 + 2 / 3) / 2),
        ("ce-dice:dice=0.5", None, (math.log(2) + math.log(4 / 3)) / 2 + (1 - (4 / 7 + 2 / 3) / 2) / 2),
        # class 0: FP 1/4, FN 1/2; class 1: FP 1/2, FN 1/4
        ("tversky", None, 1 - (0.5 / (0.5 + 0.075 + 0.35) + 0.75 / (0.75 + 0.15 + 0.175)) / 2),
        ("tversky:alpha=0.5,beta=0.5", None, 1 - (4 / 7 + 2 / 3) / 2),
        # class 0: errors 1/2 (its own, slope 1) and 1/4 (false, slope 0 as nothing is left);
        # class 1: errors 1/2 (false: IoU 1 -> 1/2) and 1/4 (its own: 1/2 -> 0)
        ("lovasz", None, (1 / 2 + (1 / 4 + 1 / 8)) / 2),
        ("lovasz", (1.0, 3.0), (1 / 2 + 3 * (1 / 4 + 1 / 8)) / 4),
    ],
)
def test_two_pixels(text: str, weights: tuple[float, ...] | None, expected: float) -> None:
    given = None if weights is None else torch.tensor(weights)
    assert float(build_loss(text, given, 2)(*TWO)) == pytest.approx(expected, rel=1e-5)


def test_ohem_keeps_all_pixels_as_hard_as_the_last_of_the_share() -> None:
    logits, targets = pixels(0.9, 0.9, 0.99, 0.5), torch.tensor([[[1, 1, 1, IGNORE]]])
    loss = build_loss("ohem:share=0.3", None, 2)
    assert float(loss(logits, targets)) == pytest.approx(-math.log(0.9), rel=1e-5)


def focal(p: Array, truth: Array, weight: Array) -> float:
    own = (p * truth).sum(0)
    each = truth.T @ weight
    return float((each * (1 - own) ** 2 * -np.log(own)).sum() / each.sum())


def ohem(p: Array, truth: Array, weight: Array) -> float:
    own = (p * truth).sum(0)
    order = np.argsort(own)
    keep = order[: max(int((own < 0.7).sum()), math.ceil(len(own) / 16))]
    each = (truth.T @ weight)[keep]
    return float((each * -np.log(own[keep])).sum() / each.sum())


def by_class(cost: Callable[[Array, Array], float]) -> Callable[[Array, Array, Array], float]:
    def loss(p: Array, truth: Array, weight: Array) -> float:
        there = [k for k in range(len(p)) if truth[k].any()]
        return sum(float(weight[k]) * cost(p[k], truth[k]) for k in there) / sum(float(weight[k]) for k in there)

    return loss


def lovasz(p: Array, t: Array) -> float:
    """The integral over thresholds of 1 - IoU of the set of pixels with a larger error."""
    errors = np.abs(t - p)
    steps = np.unique(np.concatenate([[0.0], errors]))
    total = 0.0
    for low, high in itertools.pairwise(steps):
        wrong = errors >= high
        guess = np.where(wrong, 1 - t, t)
        total += (high - low) * (1 - np.minimum(guess, t).sum() / np.maximum(guess, t).sum())
    return float(total)


REFERENCES = {
    "focal": focal,
    "ohem": ohem,
    "dice": by_class(lambda p, t: 1 - 2 * (p * t).sum() / (p.sum() + t.sum())),
    "dice-squared": by_class(lambda p, t: 1 - (2 * (p * t).sum() + 1) / ((p * p).sum() + (t * t).sum() + 1)),
    "tversky": by_class(
        lambda p, t: 1 - (p * t).sum() / ((p * t).sum() + 0.3 * (p * (1 - t)).sum() + 0.7 * ((1 - p) * t).sum())
    ),
    "lovasz": by_class(lovasz),
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("spread", [0.5, 4.0])
def test_equals_a_plain_loop(name: str, weighted: bool, spread: float) -> None:
    """Five classes, of which one is absent; a third of the pixels is ignored."""
    generator = torch.Generator().manual_seed(7)
    logits = spread * torch.randn(3, 5, 7, 9, generator=generator)
    targets = torch.randint(0, 4, (3, 7, 9), generator=generator)
    targets[torch.rand(targets.shape, generator=generator) < 0.3] = IGNORE
    weights = torch.tensor([0.2, 3.0, 1.0, 0.7, 5.0]) if weighted else None
    flat = logits.double().movedim(1, 0).flatten(1).numpy()[:, (targets != IGNORE).flatten().numpy()]
    p = np.exp(flat) / np.exp(flat).sum(0)
    truth = np.arange(5)[:, None] == targets[targets != IGNORE].numpy()
    expected = REFERENCES[name](p, truth.astype(float), np.ones(5) if weights is None else weights.double().numpy())
    assert float(build_loss(name, weights, 5)(logits, targets)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["focal:gamma=1.5", "dice", "dice-squared", "tversky", "lovasz", "ce:smoothing=0.1"])
def test_a_small_step_against_the_gradient_costs_as_much_less_as_it_says(name: str) -> None:
    generator = torch.Generator().manual_seed(8)
    logits = torch.randn(1, 3, 5, 5, generator=generator).requires_grad_()
    targets = torch.randint(0, 3, (1, 5, 5), generator=generator)
    loss = build_loss(name, torch.tensor([1.0, 2.0, 0.5]), 3)
    loss(logits, targets).backward()
    assert logits.grad is not None
    step = 0.01 * logits.grad / logits.grad.norm()
    with torch.no_grad():
        fell = loss(logits - step, targets) - loss(logits + step, targets)
    assert float(fell) == pytest.approx(-0.02 * float(logits.grad.norm()), rel=0.01)
