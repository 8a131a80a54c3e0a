"""U2-Net: published sizes, the two kinds of blocks, and the fusion."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec
from toolkit.models.u2net import Rsu, U2Net, build


@pytest.fixture(scope="module")
def small() -> U2Net:
    torch.manual_seed(0)
    return build(ModelSpec(3), "u2netp").eval()


@pytest.mark.parametrize(
    ("form", "published", "megabytes"), [("u2net", 44_009_869, 176.3), ("u2netp", 1_131_181, None)]
)
def test_sizes_are_the_published_ones(form: str, published: int, megabytes: float | None) -> None:
    """With the paper's one output channel. The authors' convolutions have biases too, which BatchNorm takes away.

    The paper's 4.7 MB of the small form hold 0.15 MB of names and padding, which are 4 % of it; its count is exact.
    """
    with torch.device("meta"):
        model = build(ModelSpec(classes=1), form)
    count = sum(p.numel() for p in model.parameters())
    biases = sum(part.num_features for part in model.modules() if isinstance(part, nn.BatchNorm2d))
    assert count + biases == published
    if megabytes is not None:
        held = sum(value.numel() * value.element_size() for value in model.state_dict().values())
        assert held / 1e6 == pytest.approx(megabytes, rel=0.01)


def test_pooled_block_of_four_levels_is_the_papers_rsu_4() -> None:
    torch.manual_seed(0)
    block = Rsu(5, 4, 6, 4).eval()
    x = torch.randn(2, 5, 12, 8)

    def up(coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        return torch.cat([F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False), fine], 1)

    with torch.inference_mode():
        stem = block.stem(x)
        one = block.down[0](stem)
        two = block.down[1](F.max_pool2d(one, 2))
        three = block.down[2](F.max_pool2d(two, 2))
        bottom = block.bottom(three)
        back = block.up[2](torch.cat([bottom, three], 1))
        back = block.up[1](up(back, two))
        expected = block.up[0](up(back, one)) + stem
        torch.testing.assert_close(block(x), expected, atol=1e-6, rtol=1e-6)
    assert [conv.dilation[0] for conv in block.modules() if isinstance(conv, nn.Conv2d)] == [1, 1, 1, 1, 2, 1, 1, 1]


def test_dilated_block_keeps_the_size_and_widens_its_view_instead() -> None:
    block = Rsu(5, 4, 6, 4, dilated=True).eval()
    assert [conv.dilation[0] for conv in block.modules() if isinstance(conv, nn.Conv2d)] == [1, 1, 2, 4, 8, 1, 2, 4]
    seen: list[torch.Size] = []
    for part in (*block.down, block.bottom, *block.up):
        part.register_forward_hook(lambda _, given, result: seen.append(result.shape[-2:]))
    with torch.inference_mode():
        assert block(torch.randn(1, 5, 3, 7)).shape == (1, 6, 3, 7)
    assert seen == [torch.Size((3, 7))] * 7


def test_all_pools_halve_exactly(small: U2Net) -> None:
    """At the stride, the coarsest level of every block is one pixel: none is cut, none is made up."""
    sizes: list[torch.Size] = []
    blocks = (*small.encoder.stages, *small.decoder)
    hooks = [b.bottom.register_forward_hook(lambda _, given, result: sizes.append(result.shape[-2:])) for b in blocks]
    with torch.inference_mode():
        small(torch.randn(1, 3, 20, 70))
    for hook in hooks:
        hook.remove()
    pooled, dilated = torch.Size((1, 3)), torch.Size((2, 6))
    assert sizes == [pooled] * 4 + [dilated, pooled] + [dilated] + [pooled] * 4


def test_learns_from_the_fused_logits_and_six_side_outputs(small: U2Net) -> None:
    with torch.inference_mode():
        fused, *sides = small.all_logits(torch.randn(2, 3, 40, 33))
    assert small.side_weights == (1.0,) * 6
    assert [side.shape for side in (fused, *sides)] == [(2, 3, 40, 33)] * 7
    assert all(not torch.equal(one, two) for one in sides for two in sides if one is not two)
    torch.testing.assert_close(fused, torch.stack(sides).mean(0), atol=1e-6, rtol=1e-5)  # before learning
    assert small.fuse.weight.shape == (3, 18, 1, 1)
