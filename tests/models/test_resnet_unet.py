"""Both forms are computed again from their parameters by name; the plain one also by the tutorial repository itself."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec, SegmentationModel
from toolkit.models.resnet_unet import build
from toolkit.models.vgg_unet import build as build_vgg

State = dict[str, torch.Tensor]

DEPTHS = (18, 34, 50, 101)
TUTORIAL_NAMES = {
    "encoder.": "resnet.",
    "decoder.0.": "up_concat4.",
    "decoder.1.": "up_concat3.",
    "decoder.2.": "up_concat2.",
    "decoder.3.": "up_concat1.",
    "last.0.": "up_conv.1.",
    "last.1.": "up_conv.3.",
    "head.": "final.",
}


def stirred(depth: int, decoder: str, seed: int = 4) -> SegmentationModel:
    """Random weights, biases and BatchNorm statistics, large enough to be seen in the logits."""
    torch.manual_seed(seed)
    model = build(ModelSpec(5), depth, decoder).eval()
    stir(model)
    return model


def stir(model: nn.Module) -> None:
    for part in model.modules():
        if isinstance(part, nn.Conv2d) and part.bias is not None:
            nn.init.normal_(part.bias, std=0.05)
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
            nn.init.uniform_(part.weight, 0.3, 0.6)


def as_in_the_tutorial(state: State) -> State:
    return {
        next(new + key.removeprefix(old) for old, new in TUTORIAL_NAMES.items() if key.startswith(old)): value
        for key, value in state.items()
    }


def conv(state: State, name: str, x: torch.Tensor, **how: int) -> torch.Tensor:
    return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **how)


def norm(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"])


def grown(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def residual_features(
    state: State, root: str, x: torch.Tensor, blocks: tuple[int, ...], pool: Callable[[torch.Tensor], torch.Tensor]
) -> list[torch.Tensor]:
    """He et al. 2015: two 3x3 convolutions a block, or 1x1, 3x3 (with the stride) and 1x1."""
    x = torch.relu(norm(state, f"{root}bn1", conv(state, f"{root}conv1", x, stride=2, padding=3)))
    features = [x]
    x = pool(x)
    for level, count in enumerate(blocks, start=1):
        for index in range(count):
            name = f"{root}layer{level}.{index}"
            stride = 2 if index == 0 and level > 1 else 1
            short = x
            if f"{name}.downsample.0.weight" in state:
                short = norm(state, f"{name}.downsample.1", conv(state, f"{name}.downsample.0", x, stride=stride))
            if f"{name}.conv3.weight" in state:
                x = torch.relu(norm(state, f"{name}.bn1", conv(state, f"{name}.conv1", x)))
                x = torch.relu(norm(state, f"{name}.bn2", conv(state, f"{name}.conv2", x, stride=stride, padding=1)))
                x = norm(state, f"{name}.bn3", conv(state, f"{name}.conv3", x))
            else:
                x = torch.relu(norm(state, f"{name}.bn1", conv(state, f"{name}.conv1", x, stride=stride, padding=1)))
                x = norm(state, f"{name}.bn2", conv(state, f"{name}.conv2", x, padding=1))
            x = torch.relu(x + short)
        features.append(x)
    return features


def tutorial_pool(x: torch.Tensor) -> torch.Tensor:
    """Windows of three from each even pixel on; the last ones are cut off at the border."""
    return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)


def tutorial_logits(state: State, images: torch.Tensor) -> torch.Tensor:
    *skips, x = residual_features(state, "resnet.", images, (3, 4, 6, 3), tutorial_pool)
    for stage in (4, 3, 2, 1):
        x = torch.cat([skips[stage - 1], grown(x)], dim=1)
        x = torch.relu(conv(state, f"up_concat{stage}.conv1", x, padding=1))
        x = torch.relu(conv(state, f"up_concat{stage}.conv2", x, padding=1))
    x = grown(x)
    for index in (1, 3):
        x = torch.relu(conv(state, f"up_conv.{index}", x, padding=1))
    return conv(state, "final", x)


def double(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    for index in (0, 1):
        x = torch.relu(norm(state, f"{name}.{index}.1", conv(state, f"{name}.{index}.0", x, padding=1)))
    return x


def test_the_tutorials_resnet50_unet_has_its_parameters_names_and_logits() -> None:
    source = stirred(50, "plain")
    state = as_in_the_tutorial(source.state_dict())
    target = build(ModelSpec(5), 50, "plain").eval()
    result = target.load_state_dict(state)
    assert result.missing_keys == [] and result.unexpected_keys == []
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected, actual = tutorial_logits(state, images), target(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-4)
    with torch.device("meta"):
        assert sum(p.numel() for p in build(ModelSpec(21), 50, "plain").parameters()) == 43_934_101


def test_the_batchnorm_form_joins_five_features_and_the_image() -> None:
    model = stirred(18, "batchnorm")
    state = model.state_dict()
    images = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        *skips, x = residual_features(
            state, "encoder.", images, (2, 2, 2, 2), lambda x: F.max_pool2d(x, 3, 2, padding=1)
        )
        skips.insert(0, double(state, "full", images))
        for stage, skip in enumerate(reversed(skips)):
            x = double(state, f"decoder.{stage}", torch.cat([skip, grown(x)], dim=1))
        expected, actual = conv(state, "head", x), model(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-4)


def plain_decoder(channels: list[int]) -> int:
    outs, befores = (512, 256, 128, 64), (channels[-1], 512, 256, 128)
    stages = zip(befores, reversed(channels[:-1]), outs, strict=True)
    return sum(9 * (a + b) * c + c + 9 * c * c + c for a, b, c in stages) + 2 * (9 * 64 * 64 + 64) + 64 * 21 + 21


def normed_decoder(channels: list[int]) -> int:
    outs, befores = (256, 128, 64, 64, 32), (channels[-1], 256, 128, 64, 64)
    stages = zip(befores, (*reversed(channels[:-1]), 32), outs, strict=True)
    full = 9 * 3 * 32 + 9 * 32 * 32 + 4 * 32
    return sum(9 * (a + b) * c + 9 * c * c + 4 * c for a, b, c in stages) + full + 32 * 21 + 21


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("decoder", "count"), [("plain", plain_decoder), ("batchnorm", normed_decoder)])
def test_weights_are_those_of_the_published_encoder_and_its_decoder(
    depth: int, decoder: str, count: Callable[[list[int]], int]
) -> None:
    with torch.device("meta"):
        model = build(ModelSpec(21), depth, decoder)
    published = torchvision.models.get_weight(str(model.encoder.imagenet))
    widen = 4 if depth >= 50 else 1
    classifier = 512 * widen * 1000 + 1000
    expected = published.meta["num_params"] - classifier + count([64, *(widen * n for n in (64, 128, 256, 512))])
    assert sum(p.numel() for p in model.parameters()) == expected


def test_one_small_image_can_be_learnt_from() -> None:
    """At stride 32 of an image this small, BatchNorm has one value per channel."""
    model = build(ModelSpec(2), 18, "batchnorm").train()
    model(torch.randn(1, 3, 20, 31)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.skipif("PEER_DIR" not in os.environ, reason="PEER_DIR names no checkout of the tutorial repository")
@pytest.mark.parametrize(("backbone", "parameters"), [("vgg", 24_892_437), ("resnet50", 43_934_101)])
@pytest.mark.filterwarnings("ignore")
def test_the_tutorial_repository_computes_the_same(
    backbone: str, parameters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEER_DIR holds `nets/unet.py` with `Unet`."""
    monkeypatch.syspath_prepend(str(Path(os.environ["PEER_DIR"])))
    torch.manual_seed(2)
    peer: nn.Module = importlib.import_module("nets.unet").Unet(21, backbone=backbone).eval()
    stir(peer)
    ours = (build_vgg(ModelSpec(21)) if backbone == "vgg" else build(ModelSpec(21), 50, "plain")).eval()
    state = {key: value for key, value in peer.state_dict().items() if "classifier" not in key}
    ours.load_state_dict(state)
    assert sum(value.numel() for value in ours.parameters()) == parameters
    images = torch.randn(2, 3, 96, 64)
    with torch.inference_mode():
        expected, actual = peer(images), ours(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
