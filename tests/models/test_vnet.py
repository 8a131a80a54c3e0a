"""V-Net in two dimensions."""

import pytest
import torch
from torch.nn import functional as F

from toolkit.models.build import build_model
from toolkit.models.vnet import VNet, VNetEncoder


def conv5(before: int, after: int) -> int:
    """A 5x5 convolution with a bias, and the slopes of the PReLU that follows it or its sum."""
    return 25 * before * after + after + after


def test_parameters_as_counted_by_hand() -> None:
    left = conv5(1, 16) + 2 * conv5(32, 32) + 3 * conv5(64, 64) + 3 * conv5(128, 128) + 3 * conv5(256, 256)
    right = 3 * conv5(256, 256) + 3 * conv5(128, 128) + 2 * conv5(64, 64) + conv5(32, 32)
    down = sum(4 * n * 2 * n + 2 * (2 * n) for n in (16, 32, 64, 128))
    up = 4 * 256 * 128 + 4 * 256 * 64 + 4 * 128 * 32 + 4 * 64 * 16 + 2 * (128 + 64 + 32 + 16)
    model = build_model("vnet:norm=none", 2, in_channels=1).to("meta")
    assert sum(p.numel() for p in model.parameters()) == left + right + down + up + 32 * 2 + 2


def test_receptive_fields_of_the_papers_table() -> None:
    """Its table 1: 5, 22, 72, 172 and 372 voxels for the five stages of the left side."""
    encoder = VNetEncoder(1, (1, 1, 1, 1, 1), norm=False).double()
    with torch.no_grad():
        for p in encoder.parameters():
            p.fill_(0.05)  # all positive: nothing that is seen cancels out
    image = torch.ones(1, 1, 16, 1024, dtype=torch.float64, requires_grad=True)
    fields = []
    for feature in encoder(image):
        (seen,) = torch.autograd.grad(feature[..., feature.shape[3] // 2].sum(), image, retain_graph=True)
        fields.append(int((seen != 0).any(dim=2).sum()))
    assert fields == [5, 22, 72, 172, 372]


@torch.inference_mode()
@pytest.mark.parametrize("in_channels", [1, 3])
def test_stages_add_their_input_before_the_last_activation(in_channels: int) -> None:
    torch.manual_seed(0)
    model = build_model("vnet:norm=none", 2, in_channels=in_channels, width=4).eval()
    assert isinstance(model, VNet)
    p = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in p.items():
            if name.endswith("bias") or value.dim() == 1:
                value.uniform_(0, 0.3)
        model.head.weight.mul_(100)

    def stage(x: torch.Tensor, name: str, convolutions: int) -> torch.Tensor:
        y = x
        for index in range(convolutions):
            y = F.prelu(y, p[f"{name}.layers.{2 * index - 1}.weight"]) if index else y
            y = F.conv2d(y, p[f"{name}.layers.{2 * index}.weight"], p[f"{name}.layers.{2 * index}.bias"], padding=2)
        if x.shape[1] != y.shape[1]:  # the image: its channels one after the other, again and again
            x = torch.stack([x[:, c % x.shape[1]] for c in range(y.shape[1])], dim=1)
        return F.prelu(x + y, p[f"{name}.activation.weight"])

    images = torch.randn(2, in_channels, 32, 16)
    features = [stage(images, "encoder.stages.0", 1)]
    for level, convolutions in enumerate((2, 3, 3, 3)):
        down = f"encoder.downs.{level}"
        x = F.conv2d(features[-1], p[f"{down}.0.weight"], p[f"{down}.0.bias"], stride=2)
        features.append(stage(F.prelu(x, p[f"{down}.1.weight"]), f"encoder.stages.{level + 1}", convolutions))
    x = features.pop()
    for step, convolutions in enumerate((3, 3, 2, 1)):
        x = F.conv_transpose2d(x, p[f"ups.{step}.0.weight"], p[f"ups.{step}.0.bias"], stride=2)
        x = torch.cat([F.prelu(x, p[f"ups.{step}.1.weight"]), features.pop()], dim=1)
        x = stage(x, f"decoder.{step}", convolutions)
    expected = F.conv2d(x, p["head.weight"], p["head.bias"])
    torch.testing.assert_close(model(images), expected, atol=1e-4, rtol=1e-4)


def test_a_batch_of_one_image_that_is_halved_to_one_pixel_can_be_trained_on() -> None:
    assert build_model("vnet", 2, width=2).train()(torch.randn(1, 3, 9, 16)).shape == (1, 2, 9, 16)
