"""U-Net: its parts, valid convolutions and tiles."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.functional import center_crop

from toolkit.errors import UsageError
from toolkit.models.build import build_model
from toolkit.models.unet import UNet, mirrored


def build(name: str, classes: int = 3, **spec: int) -> UNet:
    torch.manual_seed(0)
    model = build_model(name, classes, **spec)
    assert isinstance(model, UNet)
    with torch.no_grad():  # logits that differ by more than rounding
        model.head.weight.mul_(100)
    return model.eval()


def double(before: int, after: int) -> int:
    """Weights of two 3x3 convolutions without bias, each with the scale and shift of a BatchNorm."""
    return 9 * before * after + 9 * after * after + 4 * after


def test_parameters_as_counted_by_hand_for_a_width_of_8() -> None:
    down = double(3, 8) + double(8, 16) + double(16, 32) + double(32, 64) + double(64, 128)
    up = double(64 + 128, 64) + double(32 + 64, 32) + double(16 + 32, 16) + double(8 + 16, 8)
    head = 8 * 5 + 5
    model = build_model("unet", 5, width=8)
    assert sum(p.numel() for p in model.parameters()) == down + up + head


def test_width_is_the_number_of_channels_at_full_size_and_32_by_default() -> None:
    heads = [module for module in build_model("unet", 5).modules() if isinstance(module, nn.Conv2d)]
    assert heads[-1].in_channels == 32
    assert max(module.out_channels for module in heads) == 512


def test_unet_keeps_the_names_and_draws_that_checkpoints_and_seeds_rely_on() -> None:
    torch.manual_seed(0)
    model = build_model("unet", 5, width=4)
    pair = ("0.weight", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias")
    blocks = [*(f"encoder.blocks.{i}" for i in range(5)), *(f"decoder.{i}" for i in range(4))]
    names = [f"{block}.{part}" for block in blocks for part in pair]
    assert [name for name, _ in model.named_parameters()] == [*names, "head.weight", "head.bias"]
    last_drawn = model.get_parameter("head.weight").detach().flatten()[:3]
    torch.testing.assert_close(last_drawn, torch.tensor([-0.0014833278, -0.0014373178, -0.0014245904]))


@pytest.mark.parametrize("r", [2, 3])
def test_upscale_gives_each_pixel_r_by_r_logits(r: int) -> None:
    model = build("unet", width=4, upscale=r)
    images = torch.randn(1, 3, 16, 16)
    with torch.inference_mode():
        logits, (*skips, x) = model(images), model.encoder(images)
        for block, skip in zip(model.decoder, reversed(skips), strict=True):
            x = block(torch.cat([skip, F.interpolate(x, scale_factor=2, mode="bilinear")], dim=1))
        fine = model.head(x)
    assert model(torch.randn(2, 3, 19, 30)).shape == (2, 3, 19 * r, 30 * r)
    for k in range(3):  # channels of a class, in reading order, are the pixels of an r x r square
        for y in range(r):
            for z in range(r):
                torch.testing.assert_close(logits[:, k, y::r, z::r], fine[:, k * r * r + y * r + z])


@pytest.mark.parametrize(
    "options",
    ["depth=1", "depth=6", "norm=none", "up=nearest,down=strided", "up=transposed-unbiased,head=3x3,slope=0.1"],
)
def test_options_build_networks_that_give_the_images_size(options: str) -> None:
    model = build(f"unet:{options}", width=2)
    assert model(torch.randn(1, 3, 35, 50)).shape == (1, 3, 35, 50)


def test_bias_by_itself_is_where_no_batchnorm_follows() -> None:
    def biased(options: str) -> bool:
        first = build(f"unet:{options}", width=2).encoder.get_submodule("blocks.0.0")
        assert isinstance(first, nn.Conv2d)
        return first.bias is not None

    assert [biased(text) for text in ("norm=batch", "norm=none", "bias=yes", "norm=none,bias=no")] == [
        False,
        True,
        True,
        False,
    ]


def test_dropout_acts_in_training_only_and_on_the_last_two_stages() -> None:
    model = build("unet:norm=none,dropout=0.5", width=4)
    images = torch.randn(1, 3, 64, 64)
    still = model.encoder(images)
    moving = model.train().encoder(images)
    for quiet, dropped in list(zip(still, moving, strict=True))[:3]:
        torch.testing.assert_close(quiet, dropped, atol=0, rtol=0)
    assert ((moving[3] == 0) & (still[3] != 0)).float().mean() > 0.1
    alive = moving[3] != 0
    torch.testing.assert_close(moving[3][alive], 2 * still[3][alive])
    assert (moving[4] == 0).float().mean() > (still[4] == 0).float().mean() + 0.1


def test_a_batch_of_one_image_that_is_halved_to_one_pixel_can_be_trained_on() -> None:
    model = build_model("unet", 2, width=2).train()
    assert model(torch.randn(1, 3, 9, 16)).shape == (1, 2, 9, 16)


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (40, 5)])
def test_mirroring_is_numpys_symmetric_padding(size: tuple[int, int]) -> None:
    H, W = size
    image = np.random.default_rng(0).random((1, 2, H, W))
    expected = np.pad(image, ((0, 0), (0, 0), (9, 30), (25, 11)), mode="symmetric")
    actual = mirrored(mirrored(torch.from_numpy(image), 2, -9, H + 30), 3, -25, W + 11)
    np.testing.assert_array_equal(actual.numpy(), expected)


def paper(model: UNet, x: torch.Tensor) -> torch.Tensor:
    """The figure of the paper in functions, with the weights of a model."""
    p = dict(model.named_parameters())

    def pair(x: torch.Tensor, name: str) -> torch.Tensor:
        for index in (0, 2):
            x = F.relu(F.conv2d(x, p[f"{name}.{index}.weight"], p[f"{name}.{index}.bias"]))
        return x

    copies = []
    for level in range(4):
        copies.append(pair(x, f"encoder.blocks.{level}"))
        x = F.max_pool2d(copies[-1], 2)
    x = pair(x, "encoder.blocks.4")
    for step in range(4):
        x = F.conv_transpose2d(x, p[f"ups.{step}.weight"], p[f"ups.{step}.bias"], stride=2)
        x = torch.cat([x, center_crop(copies.pop(), list(x.shape[-2:]))], dim=1)
        x = pair(x, f"decoder.{step}")
    return F.conv2d(x, p["head.weight"], p["head.bias"])


def test_paper_gives_388_pixels_for_572() -> None:
    model = build_model("unet-paper", 2, in_channels=1).eval().to("meta")
    assert isinstance(model, UNet)
    assert model.raw(torch.empty(1, 1, 572, 572, device="meta")).shape == (1, 2, 388, 388)


def test_paper_is_the_figures_network_cropped_in_the_middle() -> None:
    model = build("unet-paper", 2, in_channels=1, width=2)
    images = torch.randn(2, 1, 204, 236)
    with torch.inference_mode():
        logits = model.raw(images)
        torch.testing.assert_close(logits, paper(model, images), atol=1e-4, rtol=1e-4)
    assert logits.shape == (2, 2, 20, 52)
    assert logits.std() > 1e-2


@pytest.mark.parametrize("side", [187, 189, 572 - 8, 172])
def test_paper_names_the_next_size_that_fits(side: int) -> None:
    model = build("unet-paper", width=2)
    fitting = 188 if side <= 188 else next(n for n in range(side, side + 16) if (n - 572) % 16 == 0)
    with pytest.raises(UsageError, match=rf"a side of {side} does not fit.*: {fitting}\."):
        model.raw(torch.empty(1, 3, 572, side))
    assert model.raw(torch.zeros(1, 3, 188, fitting)).shape[-2:] == (4, fitting - 184)


@pytest.mark.parametrize("size", [(5, 20), (3, 33)])
def test_paper_mirrors_the_context_that_is_missing_at_the_borders(size: tuple[int, int]) -> None:
    H, W = size
    model = build("unet-paper", width=2)
    images = torch.randn(1, 3, H, W)
    surplus = {5: 15, 20: 0, 3: 1, 33: 3}  # up to 4 more than a multiple of 16
    pads = ((0, 0), (0, 0), (92, 92 + surplus[H]), (92, 92 + surplus[W]))
    seen = torch.from_numpy(np.pad(images.numpy(), pads, mode="symmetric"))
    with torch.inference_mode():
        torch.testing.assert_close(model(images), model.raw(seen)[..., :H, :W])


@pytest.mark.parametrize("upscale", [1, 2])
def test_tiles_give_what_the_whole_image_gives_and_stay_small(upscale: int) -> None:
    model = build("unet-paper", width=2, upscale=upscale)
    images = torch.randn(1, 3, 75, 37)
    seen: list[tuple[int, int]] = []
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[-2:])))
    with torch.inference_mode():
        whole = model(images)
        assert seen == [(84 + 184, 52 + 184)]
        seen.clear()
        model.tile = 20
        tiled = model(images)
    assert len(seen) == 5 * 3
    assert max(max(size) for size in seen) == 20 + 184
    assert whole.shape == (1, 3, 75 * upscale, 37 * upscale)
    torch.testing.assert_close(tiled, whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("part", "is_tiled"),
    [
        ("up=nearest", True),
        ("up=bilinear", False),
        ("up=bilinear-aligned", False),
        ("up=transposed,down=strided", False),
        ("up=transposed,head=3x3", False),
    ],
)
def test_parts_that_look_beyond_a_tile_are_never_given_tiles(part: str, is_tiled: bool) -> None:
    """Tiles of 388 in a picture of 400 give what larger tiles give, whatever the parts are."""
    model = build(f"unet:norm=none,depth=2,padding=valid,{part}", width=2)
    images = torch.randn(1, 3, 7, 400)
    calls: list[int] = []
    model.encoder.register_forward_pre_hook(lambda _, inputs: calls.append(inputs[0].shape[3]))
    with torch.inference_mode():
        logits = model(images)
        assert (len(calls) == 2) == is_tiled
        model.tile = model.tile and 404
        torch.testing.assert_close(logits, model(images), atol=1e-4, rtol=1e-4)


def test_no_tile_is_larger_than_the_papers_572_pixels() -> None:
    model = build_model("unet-paper", 2, width=1).eval().to("meta")
    seen: list[tuple[int, int]] = []
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[-2:])))
    assert model(torch.empty(1, 3, 388, 3000, device="meta")).shape == (1, 2, 388, 3000)
    assert max(seen) == (572, 572)
    assert len(seen) == 8
    seen.clear()
    model.train()(torch.empty(1, 3, 64, 389, device="meta"))
    assert seen == [(68 + 184, 404 + 184)]  # learning needs the whole crop at once
