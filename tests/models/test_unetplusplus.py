"""UNet++: nested skips and deep supervision."""

import pytest
import torch
from torch.nn import functional as F

from toolkit.models.base import SegmentationModel
from toolkit.models.build import build_model


def build(options: str, **spec: int) -> SegmentationModel:
    torch.manual_seed(0)
    model = build_model(f"unetplusplus:{options}", 3, width=4, **spec)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.startswith("heads"):
                p.normal_()
    return model.eval()


@pytest.mark.parametrize(
    ("options", "published"),
    [
        ("norm=none,supervision=none", 9_041_601),  # 9.04M in the paper's table, one channel, a sigmoid's logit
        ("norm=none,supervision=last", 9_041_601 + 3 * 33),  # and three heads more
    ],
)
def test_published_parameters(options: str, published: int) -> None:
    model = build_model(f"unetplusplus:{options}", 1, in_channels=1).to("meta")
    assert sum(p.numel() for p in model.parameters()) == published


@torch.inference_mode()
def test_every_node_sees_its_row_and_the_one_below() -> None:
    """X(i,j) = H([X(i,0) .. X(i,j-1), U(X(i+1,j-1))]), written as the paper's recursion."""
    model = build("norm=none,supervision=last")
    p = dict(model.named_parameters())
    images = torch.randn(2, 3, 32, 48)

    def pair(x: torch.Tensor, name: str) -> torch.Tensor:
        for index in (0, 2):
            x = F.relu(F.conv2d(x, p[f"{name}.{index}.weight"], p[f"{name}.{index}.bias"], padding=1))
        return x

    def node(i: int, j: int) -> torch.Tensor:
        if j == 0:
            return pair(F.max_pool2d(node(i - 1, 0), 2) if i else images, f"encoder.blocks.{i}")
        up = F.conv_transpose2d(node(i + 1, j - 1), p[f"ups.{i}_{j}.weight"], p[f"ups.{i}_{j}.bias"], stride=2)
        return pair(torch.cat([*(node(i, before) for before in range(j)), up], dim=1), f"nodes.{i}_{j}")

    heads = [F.conv2d(node(0, j), p[f"heads.{j - 1}.weight"], p[f"heads.{j - 1}.bias"]) for j in range(1, 5)]
    logits, *sides = model.all_logits(images)
    torch.testing.assert_close(logits, heads[3], atol=1e-4, rtol=1e-4)
    for side, head in zip(sides, heads[:3], strict=True):
        torch.testing.assert_close(side, head, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_logits_are_the_mean_of_four_heads_that_learn_too() -> None:
    model, last = build("supervision=mean"), build("supervision=last")
    images = torch.randn(1, 3, 20, 33)
    logits, *sides = model.all_logits(images)
    assert model.side_weights == (1.0, 1.0, 1.0, 1.0) and len(sides) == 4
    torch.testing.assert_close(logits, (sides[0] + sides[1] + sides[2] + sides[3]) / 4)
    assert last.side_weights == (1.0, 1.0, 1.0)
    torch.testing.assert_close(last(images), sides[3])
    assert build("supervision=none").all_logits(images)[1:] == ()


def test_dropout_follows_every_convolution_while_learning() -> None:
    images = torch.randn(1, 3, 16, 16)
    model = build("norm=none,dropout=0.5")
    torch.testing.assert_close(model(images), model(images), atol=0, rtol=0)
    assert not torch.equal(model.train()(images), model(images))
    assert sum(isinstance(module, torch.nn.Dropout) for module in model.modules()) == 2 * 15


def test_a_batch_of_one_image_that_is_halved_to_one_pixel_can_be_trained_on() -> None:
    assert build_model("unetplusplus", 2, width=2).train()(torch.randn(1, 3, 9, 16)).shape == (1, 2, 9, 16)
