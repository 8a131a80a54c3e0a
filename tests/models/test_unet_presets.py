"""The named forms of U-Net: parameters as published or counted from their texts, and order of their layers."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from toolkit.models import MODELS
from toolkit.models.base import SegmentationModel
from toolkit.models.build import build_model
from toolkit.models.entry import choose_model


def parameters(name: str, classes: int, **spec: int) -> int:
    return sum(p.numel() for p in build_model(name, classes, **spec).to("meta").parameters())


def pairs(channels: list[tuple[int, int]], extra: int) -> int:
    """Weights of pairs of 3x3 convolutions with `extra` more weights for each output channel."""
    return sum(9 * (before + after) * after + 2 * extra * after for before, after in channels)


@pytest.mark.parametrize(
    ("name", "in_channels", "classes", "published"),
    [
        ("unet-paper", 1, 2, 31_030_658),  # the network of the paper's figure
        ("unet-transposed", 1, 1, 31_030_593),  # the same, with a sigmoid's single logit
        ("unet-keras", 1, 1, 7_759_521),  # 7.76M in UNet++'s table (arXiv:1807.10165)
    ],
)
def test_published_parameters(name: str, in_channels: int, classes: int, published: int) -> None:
    assert parameters(name, classes, in_channels=in_channels) == published


def test_parameters_of_the_batchnorm_form() -> None:
    down = [(3, 64), (64, 128), (128, 256), (256, 512)]
    up = [(512 + 256, 256), (256 + 128, 128), (128 + 64, 64)]
    assert parameters("unet-bn", 6) == pairs(down + up, extra=3) + 64 * 6 + 6


def test_parameters_of_the_strided_form() -> None:
    levels = [64, 128, 256, 512, 1024]
    down = list(zip([3, *levels], levels, strict=False))
    up = [(2 * n, n) for n in levels[:-1]]
    halving = sum(9 * n * n + n for n in levels[:-1])
    enlarging = sum(2 * n * n + n for n in levels[:-1])
    assert parameters("unet-strided", 3) == pairs(down + up, extra=3) + halving + enlarging + 9 * 64 * 3 + 3


@pytest.mark.parametrize(("upscale", "logits"), [(1, 3), (3, 27)])
def test_parameters_of_the_tensorflow_form(upscale: int, logits: int) -> None:
    levels = [32, 64, 128, 256, 512]
    down = list(zip([3, *levels], levels, strict=False))
    up = [(2 * n, n) for n in levels[:-1]]
    enlarging = sum(4 * 2 * n * n for n in levels[:-1])
    expected = pairs(down + up, extra=1) + enlarging + 32 * logits + logits
    assert parameters("unet-tf", 3, upscale=upscale) == expected


class Weights:
    """A model's tensors by name, and the shape of a U-Net to run them in."""

    def __init__(self, model: SegmentationModel, depth: int) -> None:
        self.state = model.state_dict()
        self.depth = depth

    def conv(self, x: torch.Tensor, name: str, **options: int) -> torch.Tensor:
        return F.conv2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], **options)

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var, scale, shift = (
            self.state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, scale, shift)

    def run(
        self,
        x: torch.Tensor,
        pair: Callable[[torch.Tensor, str], torch.Tensor],
        halve: Callable[[torch.Tensor, int], torch.Tensor],
        enlarge: Callable[[torch.Tensor, int], torch.Tensor],
        head_padding: int = 0,
    ) -> torch.Tensor:
        features = [pair(x, "encoder.blocks.0")]
        for level in range(self.depth):
            features.append(pair(halve(features[-1], level), f"encoder.blocks.{level + 1}"))
        x = features.pop()
        for step in range(self.depth):
            x = pair(torch.cat([enlarge(x, step), features.pop()], dim=1), f"decoder.{step}")
        return self.conv(x, "head", padding=head_padding)


def prepared(name: str, **spec: int) -> SegmentationModel:
    """With statistics and biases that show whether they are used, and in the right place."""
    torch.manual_seed(0)
    model = build_model(name, 3, width=4, **spec)
    with torch.no_grad():
        for key, value in (*model.named_parameters(), *model.named_buffers()):
            if key.endswith("bias") or key.endswith("running_mean"):
                value.uniform_(-0.3, 0.3)
            if key.endswith("running_var"):
                value.uniform_(0.5, 2.0)
        model.get_parameter("head.weight").mul_(100)
    return model.eval()


IMAGES = torch.randn(2, 3, 48, 32, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_batchnorm_form_layer_by_layer() -> None:
    model = prepared("unet-bn")
    net = Weights(model, 3)

    def pair(x: torch.Tensor, name: str) -> torch.Tensor:
        x = F.relu(net.norm(net.conv(x, f"{name}.0", padding=1), f"{name}.1"))
        return F.relu(net.norm(net.conv(x, f"{name}.3", padding=1), f"{name}.4"))

    grow = nn.UpsamplingBilinear2d(scale_factor=2)  # torch's name for aligned corners
    expected = net.run(IMAGES, pair, lambda x, _: F.max_pool2d(x, 2), lambda x, _: grow(x))
    torch.testing.assert_close(model(IMAGES), expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_strided_form_layer_by_layer() -> None:
    model = prepared("unet-strided")
    net = Weights(model, 4)

    def pair(x: torch.Tensor, name: str) -> torch.Tensor:
        x = F.leaky_relu(net.norm(net.conv(x, f"{name}.0", padding=1), f"{name}.1"))
        return F.leaky_relu(net.norm(net.conv(x, f"{name}.4", padding=1), f"{name}.5"))

    def halve(x: torch.Tensor, level: int) -> torch.Tensor:
        return F.leaky_relu(net.conv(x, f"encoder.downs.{level}.0", stride=2, padding=1))

    def enlarge(x: torch.Tensor, step: int) -> torch.Tensor:
        return net.conv(F.interpolate(x, scale_factor=2, mode="nearest"), f"ups.{step}.0")

    expected = net.run(IMAGES, pair, halve, enlarge, head_padding=1)
    torch.testing.assert_close(model(IMAGES), expected, atol=1e-4, rtol=1e-4)


def test_strided_form_drops_before_the_activations() -> None:
    block = build_model("unet-strided", 2, width=2).encoder.get_submodule("blocks.0")
    kinds = [type(layer).__name__.replace("PooledBatch", "Batch") for layer in block.children()]
    assert kinds == ["Conv2d", "BatchNorm2d", "Dropout", "LeakyReLU"] * 2
    assert [layer.p for layer in block.children() if isinstance(layer, nn.Dropout)] == [0.3, 0.4]


@torch.inference_mode()
@pytest.mark.parametrize(("name", "slope"), [("unet-transposed", 0.0), ("unet-keras", 0.0), ("unet-tf", 0.2)])
def test_transposed_forms_layer_by_layer(name: str, slope: float) -> None:
    model = prepared(name)
    net = Weights(model, 4)

    def pair(x: torch.Tensor, name: str) -> torch.Tensor:
        for index in (0, 2):
            x = F.leaky_relu(net.conv(x, f"{name}.{index}", padding=1), slope)
        return x

    def enlarge(x: torch.Tensor, step: int) -> torch.Tensor:
        bias = None if name == "unet-tf" else net.state[f"ups.{step}.bias"]
        return F.conv_transpose2d(x, net.state[f"ups.{step}.weight"], bias, stride=2)

    expected = net.run(IMAGES, pair, lambda x, _: F.max_pool2d(x, 2), enlarge)
    torch.testing.assert_close(model(IMAGES), expected, atol=1e-4, rtol=1e-4)


def test_tensorflow_form_makes_masks_three_times_finer() -> None:
    assert prepared("unet-tf", upscale=3)(torch.randn(1, 3, 17, 20)).shape == (1, 3, 51, 60)


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("unet-")])
def test_every_form_can_be_written_with_the_options_of_unet(name: str) -> None:
    given = {key: value for key, value in MODELS.entry(name).given.items() if key != "width"}
    text = ",".join(f"{key}={value}" for key, value in given.items())
    assert choose_model(f"unet:{text}", MODELS).given == given
