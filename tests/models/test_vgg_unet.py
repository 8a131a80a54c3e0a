"""The tutorials' model, rebuilt here from their text, is the reference; for the encoders, torchvision's VGG."""

import copy
import pickle

import pytest
import torch
import torchvision
from torch import nn

from toolkit.errors import UsageError
from toolkit.models.base import ModelSpec
from toolkit.models.build import build_model
from toolkit.models.vgg_encoder import VggEncoder
from toolkit.models.vgg_unet import build

ENCODERS = [name + bn for name in ("vgg11", "vgg13", "vgg16", "vgg19") for bn in ("", "_bn")]


class TutorialUp(nn.Module):
    active = True  # in the repository; a printed version has no ReLU here

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(after, after, kernel_size=3, padding=1)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        doubled = nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=True)
        joined = torch.cat((fine, doubled), 1)
        if not self.active:
            plain: torch.Tensor = self.conv2(self.conv1(joined))
            return plain
        return torch.relu(self.conv2(torch.relu(self.conv1(joined))))


class TutorialUnet(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.vgg = nn.Module()
        with torch.device("meta"):  # its classifier has 120 million weights that nobody needs
            features = torchvision.models.vgg16(weights=None).features
        self.vgg.features = features.to_empty(device="cpu")  # drawn by the fixture
        self.up_concat4 = TutorialUp(1024, 512)
        self.up_concat3 = TutorialUp(768, 256)
        self.up_concat2 = TutorialUp(384, 128)
        self.up_concat1 = TutorialUp(192, 64)
        self.final = nn.Conv2d(64, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.vgg.features
        assert isinstance(features, nn.Sequential)
        taps = []
        for start, stop in ((0, 4), (4, 9), (9, 16), (16, 23), (23, 30)):
            x = features[start:stop](x)
            taps.append(x)
        x = self.up_concat4(taps[3], taps[4])
        x = self.up_concat3(taps[2], x)
        x = self.up_concat2(taps[1], x)
        x = self.up_concat1(taps[0], x)
        logits: torch.Tensor = self.final(x)
        return logits


@pytest.fixture(scope="module")
def tutorial() -> TutorialUnet:
    torch.manual_seed(3)
    model = TutorialUnet(21).eval()
    for part in model.modules():
        if isinstance(part, nn.Conv2d):  # large enough to be seen at the end, biases included
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            assert part.bias is not None
            nn.init.normal_(part.bias, std=0.05)
    nn.init.normal_(model.final.weight, std=0.02)
    return model


def test_has_as_many_parameters_as_the_tutorials_model(tutorial: TutorialUnet) -> None:
    ours = build_model("vgg16-unet", 21)
    assert sum(p.numel() for p in ours.parameters()) == 24_892_437
    assert sum(p.numel() for p in tutorial.parameters()) == 24_892_437


def test_loads_the_tutorials_weights_and_gives_its_logits(tutorial: TutorialUnet) -> None:
    ours = build_model("vgg16-unet", 21).eval()
    state = tutorial.state_dict()
    names = list(state)
    result = ours.load_state_dict(state)
    assert result.missing_keys == [] and result.unexpected_keys == []
    assert list(state) == names, "what is handed in is not renamed"
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = tutorial(images)
        actual = ours(images)
    assert expected.std() > 0.05
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_parameter_names_of_our_own_are_loaded_as_they_are() -> None:
    torch.manual_seed(1)
    source = build_model("vgg16-unet", 2)
    target = build_model("vgg16-unet", 2)
    target.load_state_dict(source.state_dict())
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())


def test_a_state_that_lacks_a_tensor_is_refused(tutorial: TutorialUnet) -> None:
    state = {key: value for key, value in tutorial.state_dict().items() if key != "up_concat2.conv1.bias"}
    with pytest.raises(RuntimeError, match=r"Missing key.*decoder\.2\.conv1\.bias"):
        build_model("vgg16-unet", 21).load_state_dict(state)


def test_width_is_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"fixed width.*--model unet"):
        build_model("vgg16-unet", 2, width=16)


def test_copies_and_pickles_still_load_the_tutorials_names(tutorial: TutorialUnet) -> None:
    """Weights of moving averages are kept in a copy of the model."""
    with torch.device("meta"):
        source = build(ModelSpec(21))
    for model in (copy.deepcopy(source), pickle.loads(pickle.dumps(source))):
        result = model.load_state_dict(tutorial.state_dict(), assign=True)
        assert result.missing_keys == [] and result.unexpected_keys == []


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_are_torchvisions_before_each_pool(name: str) -> None:
    torch.manual_seed(5)
    ours = VggEncoder(3, name).eval()
    for part in ours.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    with torch.device("meta"):
        features = getattr(torchvision.models, name)(weights=None).features.eval()
    features.load_state_dict(ours.features.state_dict(), assign=True)
    expected: list[torch.Tensor] = []
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            layer.register_forward_pre_hook(lambda _, given: expected.append(given[0]))
    images = torch.randn(1, 3, 32, 48)
    with torch.inference_mode():
        features(images)
        actual = ours(images)
    assert [tuple(feature.shape[2:]) for feature in actual] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    assert len(expected) == len(actual) == 5
    for one, other in zip(actual, expected, strict=True):
        assert one.std() > 0
        torch.testing.assert_close(one, other, atol=0, rtol=0)


@pytest.mark.parametrize("name", ENCODERS)
def test_weights_are_those_of_the_published_encoder_and_the_tutorials_decoder(name: str) -> None:
    with torch.device("meta"):
        model = build(ModelSpec(21), name)
    published = torchvision.models.get_weight(model.encoder.imagenet)
    assert published.url.rpartition("/")[2].startswith(f"{name}-")
    classifier, decoder = 123_642_856, 24_892_437 - 14_714_688
    count = sum(p.numel() for p in model.parameters())
    assert count == published.meta["num_params"] - classifier + decoder


def test_the_printed_form_without_relus_in_its_decoder(tutorial: TutorialUnet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TutorialUp, "active", False)
    ours = build_model("vgg16-unet:activation=none", 21).eval()
    ours.load_state_dict(tutorial.state_dict())
    images = torch.randn(1, 3, 32, 48)
    with torch.inference_mode():
        expected = tutorial(images)
        torch.testing.assert_close(ours(images), expected, atol=1e-4, rtol=1e-4)
        usual = build_model("vgg16-unet", 21).eval()
        usual.load_state_dict(tutorial.state_dict())
        assert (usual(images) - expected).abs().max() > 0.1
