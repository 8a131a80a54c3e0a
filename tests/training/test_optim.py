"""The learning rate and the optimizers."""

import itertools
import math

import pytest
import torch

from toolkit.models.build import build_model
from toolkit.runs.config import TrainConfig
from toolkit.training.optim import default_lr, lr_at, make_optimizer


def test_learning_rate_rises_to_the_given_one_and_falls_to_a_hundredth() -> None:
    rates = [lr_at(step, total=50, warmup=10, highest=0.4) for step in range(50)]
    assert rates[0] == pytest.approx(0.04)
    assert rates[9] == rates[10] == max(rates) == pytest.approx(0.4)
    assert rates[-1] == pytest.approx(0.004)
    assert all(a < b for a, b in itertools.pairwise(rates[:10]))
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))


def test_learning_rate_is_torchs_cosine_after_the_warmup() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=39, eta_min=0.004)
    for step in range(10, 50):
        assert lr_at(step, 50, 10, 0.4) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


SCHEDULES = ("cosine", "poly", "step", "onecycle", "constant")


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("total", "warmup"), [(1, 0), (2, 1), (2, 0), (3, 1), (4, 2), (5, 0)])
def test_shortest_runs_have_a_rate_at_every_step(total: int, warmup: int, schedule: str) -> None:
    rates = [lr_at(step, total, warmup, 0.1, schedule) for step in range(total)]
    assert all(0 < rate <= 0.1 and math.isfinite(rate) for rate in rates)
    if schedule != "onecycle":
        assert rates[0] == 0.1 / max(1, warmup)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_that_was_given_is_the_highest_one_used(schedule: str) -> None:
    rates = [lr_at(step, 100, 10, 0.4, schedule) for step in range(100)]
    assert max(rates) == pytest.approx(0.4)
    top = rates.index(max(rates))
    assert all(a <= b for a, b in itertools.pairwise(rates[: top + 1]))
    assert all(a >= b for a, b in itertools.pairwise(rates[top:]))


def test_poly_is_torchs() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    theirs = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=40, power=0.9)
    for step in range(10, 50):
        assert lr_at(step, 50, 10, 0.4, "poly") == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("total", [10, 47, 300])
def test_one_cycle_is_torchs(total: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.4, total_steps=total, cycle_momentum=False)
    for step in range(total):
        assert lr_at(step, total, 7, 0.4, "onecycle") == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < total - 1:
            theirs.step()


def test_steps_are_a_tenth_each() -> None:
    rates = [lr_at(step, 91, 0, 0.4, "step") for step in range(91)]
    assert rates == pytest.approx([0.4] * 60 + [0.04] * 20 + [0.004] * 11)


@pytest.mark.parametrize(
    ("optimizer", "model", "pretrained", "lr"),
    [
        ("adam", "vgg16-unet", False, 1e-4),
        ("adam", "vgg16-unet", True, 1e-4),
        ("adam", "unet", False, 1e-3),
        ("adam", "unet", True, 1e-4),
        ("adam", "vgg11-bn-unet", False, 1e-4),
        ("adam", "resnet18-unet", False, 1e-3),
        ("adamw", "unet", False, 1e-3),
        ("adamw", "vgg16-unet", True, 1e-4),
        ("sgd", "unet", False, 1e-2),
        ("sgd", "vgg16-unet", True, 1e-2),
    ],
)
def test_default_rates_are_those_of_the_help_text(optimizer: str, model: str, pretrained: bool, lr: float) -> None:
    with torch.device("meta"):
        built = build_model(model, 2)
    assert default_lr(optimizer, built, pretrained=pretrained) == lr


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_weight_decay_shrinks_what_has_no_gradient(name: str) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = make_optimizer(TrainConfig(optimizer=name, lr=0.1, weight_decay=0.5), [parameter], torch.device("cpu"))
    parameter.grad = torch.zeros(3)
    optimizer.step()
    assert (parameter < 1).all()


def test_adamw_decays_the_weights_themselves() -> None:
    parameter = torch.nn.Parameter(torch.full((3,), 2.0))
    optimizer = make_optimizer(
        TrainConfig(optimizer="adamw", lr=0.1, weight_decay=0.5), [parameter], torch.device("cpu")
    )
    parameter.grad = torch.zeros(3)
    optimizer.step()
    assert parameter.tolist() == pytest.approx([2.0 * (1 - 0.1 * 0.5)] * 3)
