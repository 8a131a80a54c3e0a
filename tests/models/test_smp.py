"""segmentation-models-pytorch behind the contract."""

import importlib
import math
import sys

import pytest
import segmentation_models_pytorch
import torch
from torch.nn import functional as F

from toolkit.errors import UsageError
from toolkit.models.base import ModelSpec
from toolkit.models.smp import ARCHITECTURES, build

PAIRS = [
    ("unet", "resnet18"),
    pytest.param("unet++", "mobilenet_v2", marks=pytest.mark.slow),
    ("fpn", "mobilenet_v2"),
    ("linknet", "resnet18"),
    ("manet", "resnet18"),
    ("pan", "resnet18"),
    ("pspnet", "mobilenet_v2"),
    ("deeplabv3+", "tu-mobilenetv3_small_050"),
    ("segformer", "resnet18"),
    pytest.param("upernet", "tu-convnext_atto", marks=pytest.mark.slow),
    pytest.param("dpt", "tu-vit_tiny_patch16_224", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("architecture", "encoder"), PAIRS)
def test_logits_have_the_size_of_a_single_odd_image_and_all_that_may_learn_does(
    architecture: str, encoder: str
) -> None:
    torch.manual_seed(0)
    model = build(ModelSpec(3, in_channels=2), architecture, encoder).train()
    logits = model(torch.randn(1, 2, 33, 41))
    assert logits.shape == (1, 3, 33, 41)
    loss = F.cross_entropy(logits, torch.randint(0, 3, (1, 33, 41)))
    assert float(loss.detach()) == pytest.approx(math.log(3), abs=0.5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert model(torch.randn(1, 2, 1, 1)).shape == (1, 3, 1, 1)


def test_logits_are_the_librarys_own() -> None:
    torch.manual_seed(0)
    reference = segmentation_models_pytorch.PSPNet("resnet18", encoder_weights=None, classes=4).eval()
    model = build(ModelSpec(4), "PSPNet", "resnet18").eval()
    model.load_state_dict(reference.state_dict(), strict=False)
    images = torch.randn(2, 3, 48, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model(images), reference(images))


def test_stages_that_are_not_used_are_left_out() -> None:
    """PSPNet of the library stops at an eighth of the size: 10.5 of ResNet-18's 11.2 million weights do nothing."""
    names = {name.split(".")[0] for name, _ in build(ModelSpec(2), "pspnet", "resnet18").encoder.named_parameters()}
    assert names == {"conv1", "bn1", "layer1", "layer2"}


def test_parameters_computed_in_vain_stay_frozen_when_the_encoder_wakes() -> None:
    model = build(ModelSpec(2), "pspnet", "mobilenet_v2")
    resting = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert resting and all(name.startswith("encoder.features.") for name in resting)
    model.freeze_encoder(True)
    assert not any(p.requires_grad for p in model.encoder.parameters())
    model.freeze_encoder(False)
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == resting


def test_smallest_image_is_what_the_architecture_takes() -> None:
    """PAN halves the feature at stride 16 three times more."""
    assert (build(ModelSpec(2), "pan", "resnet18").smallest, build(ModelSpec(2), "unet", "resnet18").smallest) == (
        128,
        32,
    )


@pytest.mark.parametrize(
    ("architecture", "encoder", "said"),
    [
        ("unnet", "resnet18", r"smp architecture 'unnet' is not known\. Did you mean 'unet'\? Known: unet, "),
        ("unet", "mobilnet_v2", r"smp encoder 'mobilnet_v2' is not known\. Did you mean 'mobilenet_v2'\?"),
        ("unet", "convnext_tiny", r"Did you mean 'tu-convnext_tiny'\?"),
        ("linknet", "mit_b0", r"smp:linknet/mit_b0 cannot be built: .*mit_b0.* Choose another encoder\."),
        ("unet", "tu-swin_tiny_patch4_window7_224", r"takes images of one size only"),
    ],
)
def test_what_cannot_be_built_is_said_with_the_way_out(architecture: str, encoder: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build(ModelSpec(2), architecture, encoder)


def test_encoders_say_which_weights_they_have() -> None:
    names = ("resnet18", "tu-mobilenetv3_small_050", "tu-resnet10t.nonsense")
    assert build(ModelSpec(2), "fpn", names[0]).encoder.imagenet == "smp:resnet18"
    assert build(ModelSpec(2), "fpn", names[1]).encoder.imagenet == "smp:tu-mobilenetv3_small_050"
    with pytest.raises(UsageError, match="is not known"):
        build(ModelSpec(2), "fpn", names[2])


def test_building_while_predicting_leaves_the_same_model() -> None:
    torch.manual_seed(0)
    expected = build(ModelSpec(2), "pspnet", "resnet18").state_dict()
    torch.manual_seed(0)
    with torch.inference_mode():
        actual = build(ModelSpec(2), "pspnet", "resnet18").state_dict()
    assert list(actual) == list(expected)
    assert all(torch.equal(actual[key], expected[key]) for key in expected)


@pytest.mark.parametrize("missing", ["segmentation_models_pytorch", "timm"])
def test_without_the_library_the_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "unet" in ARCHITECTURES
    monkeypatch.delitem(sys.modules, "toolkit.models.smp")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UsageError, match=rf"^smp: models need {missing}: pip install 'seg-toolkit\[smp\]'$"):
        importlib.import_module("toolkit.models.smp")
