"""What stands for a model in a graph gives the same numbers, and leaves the model alone."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from toolkit.engines.expressible import _pool, _unpool, expressible, with_plain_pooling
from toolkit.models.build import build_model
from toolkit.models.unet import TILE


@pytest.mark.parametrize("size", [(1, 1), (4, 7), (6, 12), (13, 5)])
@pytest.mark.parametrize("parts", [2, 6, (3, None)])
def test_means_over_parts_are_those_of_pytorch(size: tuple[int, int], parts: int | tuple[int, None]) -> None:
    pooling = nn.Sequential(nn.AdaptiveAvgPool2d(parts), nn.AdaptiveAvgPool2d(1))
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    plain = with_plain_pooling(pooling)
    assert torch.allclose(plain[0](x), F.adaptive_avg_pool2d(x, parts), atol=1e-6)  # type: ignore[index]
    assert type(pooling[0]) is nn.AdaptiveAvgPool2d


def test_values_go_back_to_where_the_first_maximum_was() -> None:
    """With many equal ones, as behind a ReLU."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 3, (2, 3, 16, 24), generator=generator).float()
    values = torch.randn(2, 3, 8, 12, generator=generator)
    maxima, indices = F.max_pool2d(x, 2, 2, return_indices=True)
    found, place = _pool(x)
    assert torch.equal(found, maxima)
    assert torch.equal(_unpool(values, place), F.max_unpool2d(values, indices, (2, 2)))


@pytest.mark.parametrize("size", [(32, 64), (TILE + 28, 32)])
def test_valid_convolutions_in_one_piece_give_what_tiles_give(size: tuple[int, int]) -> None:
    model = build_model("unet-paper", 3, width=2).eval()
    nn.init.normal_(model.get_parameter("head.weight"))
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.decode(x)
        other = expressible(model, stride=32)
        assert torch.allclose(other.decode(x), expected, atol=1e-5)
        assert other is not model
        assert torch.equal(model.decode(x), expected)
    assert model.tile == TILE


def test_a_stride_that_does_not_fit_leaves_the_model_as_it_is() -> None:
    model = build_model("unet-paper", 3, width=2)
    assert expressible(model, stride=8) is model
