"""SegNet: names and counts of the weights, and the way back through the pools."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from toolkit.models.base import ModelSpec
from toolkit.models.segnet import SegNet, build


@pytest.fixture(scope="module")
def model() -> SegNet:
    torch.manual_seed(0)
    return build(ModelSpec(3)).eval()


def test_has_the_published_29_5_million_parameters_in_26_convolutions() -> None:
    with torch.device("meta"):
        model = build(ModelSpec(12))
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == pytest.approx(29.45, abs=0.05)
    halves = [sum(isinstance(part, nn.Conv2d) for part in half.modules()) for half in (model.encoder, model)]
    assert halves == [13, 26]


def test_encoder_has_the_names_and_shapes_of_torchvisions_vgg16_bn() -> None:
    with torch.device("meta"):
        ours = build(ModelSpec(3)).encoder.state_dict()
        theirs = torchvision.models.vgg16_bn(weights=None).features.state_dict()
    assert {key: value.shape for key, value in ours.items()} == {f"features.{k}": v.shape for k, v in theirs.items()}


def test_encoder_computes_what_torchvisions_does(model: SegNet) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.vgg16_bn(weights=None).features
    theirs = theirs.to_empty(device="cpu").eval()
    theirs.load_state_dict({key.removeprefix("features."): v for key, v in model.encoder.state_dict().items()})
    images = torch.randn(1, 3, 64, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.encoder(images)[0], theirs(images), atol=0, rtol=0)


def test_values_go_back_to_the_place_of_the_maximum(model: SegNet) -> None:
    """What enters a decoder stage is non-zero in one pixel of each 2x2 window: where the encoder's was largest."""
    entering: list[torch.Tensor] = []
    pooled: list[torch.Tensor] = []
    hooks = [stage.register_forward_pre_hook(lambda _, given: entering.append(given[0])) for stage in model.decoder]
    for before, layer in zip(model.encoder.features, list(model.encoder.features)[1:], strict=False):
        if isinstance(layer, nn.MaxPool2d):
            hooks.append(before.register_forward_hook(lambda _, given, result: pooled.append(result.clone())))
    with torch.inference_mode():
        model(torch.randn(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    assert [x.shape[-1] for x in entering] == [4, 8, 16, 32, 64]
    for sparse, feature in zip(entering, reversed(pooled), strict=True):
        windows, maxima = (F.pixel_unshuffle(x, 2).reshape(1, x.shape[1], 4, -1) for x in (sparse, feature))
        assert (windows.count_nonzero(2) <= 1).all()
        landed = (windows != 0) & (maxima.amax(2, keepdim=True) > 0)
        assert landed.any()
        assert (maxima == maxima.amax(2, keepdim=True))[landed].all()
