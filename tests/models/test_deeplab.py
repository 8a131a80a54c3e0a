"""DeepLabV3 against torchvision's, DeepLabV3+ against its paper's layers."""

import pytest
import torch
from torchvision.models.segmentation import deeplabv3_resnet50

from toolkit.models.base import ModelSpec, SegmentationModel
from toolkit.models.deeplab import build_v3, build_v3plus
from toolkit.models.resnet_encoder import ResNetEncoder


def parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("encoder", "published"), [("resnet50", 42_004_074), ("resnet101", 60_996_202)])
def test_deeplabv3_has_the_published_number_of_parameters(encoder: str, published: int) -> None:
    with torch.device("meta"):
        assert parameters(build_v3(ModelSpec(21), encoder)) == published


def test_deeplabv3plus_has_the_layers_of_the_paper() -> None:
    aspp = 2048 * 256 + 3 * 9 * 2048 * 256 + 2048 * 256 + 5 * 256 * 256 + 6 * 2 * 256
    decoder = 256 * 48 + 2 * 48 + 9 * (256 + 48) * 256 + 2 * 256 + 9 * 256 * 256 + 2 * 256
    with torch.device("meta"):
        encoder = ResNetEncoder(50, stride=16)
        assert parameters(build_v3plus(ModelSpec(21))) == parameters(encoder) + aspp + decoder + 256 * 21 + 21


def test_torchvision_checkpoints_load_and_give_torchvisions_logits() -> None:
    """Logits, then those of the auxiliary head, for an image whose size needs no padding."""
    torch.manual_seed(1)
    reference = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=4, aux_loss=True).eval()
    model = build_v3(ModelSpec(4)).eval()
    model.load_state_dict(reference.state_dict())
    images = torch.randn(1, 3, 48, 40)
    with torch.inference_mode():
        expected, (logits, side) = reference(images), model.all_logits(images)
    torch.testing.assert_close(logits, expected["out"])
    torch.testing.assert_close(side, expected["aux"])
    assert model.side_weights == (0.5,)  # as torchvision's reference training adds it


@pytest.mark.parametrize("build", [build_v3, build_v3plus])
def test_stride_sets_the_coarsest_feature_and_how_far_the_pyramid_looks(build: type[SegmentationModel]) -> None:
    dilations = {}
    for stride in ("8", "16"):
        with torch.device("meta"):
            model = build(ModelSpec(2), stride=stride)
            assert model.stride == int(stride)
            assert model.encoder(torch.empty(1, 3, 64, 96))[-1].shape == (1, 2048, 64 // int(stride), 96 // int(stride))
        pyramid = next(part for name, part in model.named_modules() if name.endswith("convs"))
        dilations[stride] = [part.dilation[0] for part in pyramid.modules() if isinstance(part, torch.nn.Conv2d)][1:4]
    assert dilations == {"8": [12, 24, 36], "16": [6, 12, 18]}


def test_low_level_features_sharpen_deeplabv3plus() -> None:
    """Its decoder sees a quarter of the image's size: without the encoder's early feature the logits are others."""
    torch.manual_seed(0)
    model = build_v3plus(ModelSpec(2)).eval()
    images = torch.randn(1, 3, 32, 48)
    seen: list[torch.Tensor] = []
    model.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.inference_mode():
        before = model(images)
        torch.nn.init.zeros_(model.low[0].weight)  # type: ignore[arg-type]
        after = model(images)
    assert seen[0].shape == (1, 256 + 48, 8, 12)
    assert not torch.allclose(before, after)
