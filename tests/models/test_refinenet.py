"""RefineNet: published size, and what its units compute."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec
from toolkit.models.refinenet import ChainedPooling, RefineBlock, ResidualUnit, build


@pytest.mark.parametrize(("encoder", "published"), [("resnet101", 118), ("resnet50", 99)])
def test_parameters_as_in_nekrasov_et_al_2018(encoder: str, published: int) -> None:
    """Table 1 of arXiv:1810.03272 counts the original RefineNet before making it lighter."""
    with torch.device("meta"):
        model = build(ModelSpec(21), encoder)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6) == published


def test_residual_unit_adds_to_its_input_as_it_came_in() -> None:
    torch.manual_seed(0)
    unit = ResidualUnit(4)
    x = torch.randn(1, 4, 5, 6)
    given = x.clone()
    with torch.inference_mode():
        inner = F.conv2d(x.relu(), unit.conv1.weight, unit.conv1.bias, padding=1).relu()
        torch.testing.assert_close(unit(x), given + F.conv2d(inner, unit.conv2.weight, padding=1))
    torch.testing.assert_close(x, given, atol=0, rtol=0)


def test_chained_pooling_adds_up_ever_wider_maxima() -> None:
    """With convolutions that do nothing, one lit pixel fills squares of 1, 5, 9, 13 and 17 pixels."""
    pooling = ChainedPooling(1)
    for conv in pooling.convs:
        assert isinstance(conv, nn.Conv2d)
        nn.init.dirac_(conv.weight)
    spot = torch.zeros(1, 1, 21, 21)
    spot[..., 10, 10] = 1.0
    with torch.inference_mode():
        row = pooling(spot)[0, 0, 10].int().tolist()
    assert row == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0]


def test_block_fuses_both_resolutions_at_the_finer_one() -> None:
    torch.manual_seed(0)
    block = RefineBlock(6, 4, 5).eval()
    fine, coarse = torch.randn(1, 6, 8, 12), torch.randn(1, 5, 4, 6)
    with torch.inference_mode():
        assert block(fine, coarse).shape == (1, 4, 8, 12)
        assert not torch.allclose(block(fine, coarse), block(fine, 2 * coarse))
        assert not torch.allclose(block(fine, coarse), block(2 * fine, coarse))


def test_features_neither_die_nor_blow_up_before_learning() -> None:
    """Without BatchNorm, twenty-odd residual units drawn at full strength would multiply the variance by millions."""
    torch.manual_seed(0)
    model = build(ModelSpec(3), "resnet18").train()
    entering: list[torch.Tensor] = []
    model.head.register_forward_pre_hook(lambda _, given: entering.append(given[0]))
    with torch.no_grad():
        model(torch.randn(2, 3, 64, 64))
    assert 0.3 < float(entering[0].std()) < 30


def test_logits_are_computed_at_a_quarter_of_the_size() -> None:
    torch.manual_seed(0)
    model = build(ModelSpec(3), "resnet18").eval()
    seen: list[torch.Size] = []
    model.head.register_forward_hook(lambda _, given, result: seen.append(result.shape))
    with torch.inference_mode():
        assert model(torch.randn(1, 3, 60, 90)).shape == (1, 3, 60, 90)
    assert seen == [torch.Size((1, 3, 16, 24))]
