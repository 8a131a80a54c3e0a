"""Encoder weights from files and from torch's cache, without a network."""

import hashlib
import io
import pickle
import socket
import sys
from email.message import Message
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from toolkit.errors import CheckpointError
from toolkit.models.base import ModelSpec, SegmentationModel
from toolkit.models.build import build_model
from toolkit.models.resnet_unet import build as build_resnet
from toolkit.models.weights import load
from toolkit.models.weights.load import imagenet_file, load_file_weights, load_imagenet

PREFIXES = ["", "features.", "vgg.features.", "module.encoder.features."]
VGG16 = "VGG16_Weights.IMAGENET1K_V1"

State = dict[str, torch.Tensor]


class SmallVgg(nn.Module):
    """Two convolutions called like torchvision's first ones, and the same with BatchNorm; a classifier on top."""

    imagenet = VGG16

    def __init__(self, channels: int = 3, *, normed: bool = False, classifier: bool = False) -> None:
        super().__init__()
        between = (nn.BatchNorm2d(4),) if normed else (nn.ReLU(),)
        self.features = nn.Sequential(nn.Conv2d(channels, 4, 3), *between, nn.Conv2d(4, 6, 3))
        self.optional: tuple[str, ...] = ()
        if classifier:
            self.classifier = nn.Sequential(nn.Conv2d(6, 5, 7), nn.ReLU(), nn.Conv2d(5, 5, 1))
            self.optional = ("classifier.",)


class Small(SegmentationModel):
    def __init__(self, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = SmallVgg() if encoder is None else encoder
        self.head = nn.Conv2d(6, 2, 1)


def filled(model: nn.Module) -> State:
    """Numbers for each of a module's tensors that it does not have itself."""
    generator = torch.Generator().manual_seed(11)
    return {key: torch.randn(value.shape, generator=generator) for key, value in model.state_dict().items()}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unplugged(*_: object, **__: object) -> None:
        raise URLError("no network in this test")

    monkeypatch.setattr("torch.hub.urlopen", unplugged)


@pytest.fixture(scope="module")
def trained() -> State:
    """What torchvision's VGG16 features would hold: 26 tensors by bare names."""
    with torch.device("meta"):
        state = torchvision.models.vgg16(weights=None).features.state_dict()
    generator = torch.Generator().manual_seed(11)
    return {key: torch.randn(value.shape, generator=generator) for key, value in state.items()}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_files_fill_the_encoder_whatever_their_names_begin_with(tmp_path: Path, prefix: str) -> None:
    state = filled(SmallVgg())
    torch.save({prefix + key.removeprefix("features."): value for key, value in state.items()}, tmp_path / "w.pt")
    model = Small()
    head = model.state_dict()["head.weight"].clone()
    loaded = load_file_weights(model, tmp_path / "w.pt")
    assert (loaded.matched, loaded.expected, loaded.left_over, loaded.missing) == (4, 4, (), ())
    assert all(torch.equal(value, state[key]) for key, value in model.encoder.state_dict().items())
    assert torch.equal(model.state_dict()["head.weight"], head)


def test_torchvisions_names_are_those_of_vgg16_unet(tmp_path: Path, trained: State) -> None:
    torch.save(trained, tmp_path / "w.pt")
    model = build_model("vgg16-unet", 2)
    assert load_file_weights(model, tmp_path / "w.pt").matched == 26
    assert all(torch.equal(model.encoder.state_dict()[f"features.{key}"], value) for key, value in trained.items())


def test_what_does_not_belong_to_the_encoder_is_named(tmp_path: Path) -> None:
    state = {f"vgg.{key}": value for key, value in filled(SmallVgg()).items()} | {"final.bias": torch.zeros(2)}
    torch.save({"state_dict": state, "epoch": 7}, tmp_path / "w.pth")
    loaded = load_file_weights(Small(), tmp_path / "w.pth")
    assert (loaded.matched, loaded.left_over) == (4, ("final.bias",))
    assert loaded.lines() == [f"{tmp_path / 'w.pth'}, 4 of 4 tensors.", "  not used: 1 (final.bias)"]


def test_weights_of_a_related_model_are_refused(tmp_path: Path) -> None:
    """Some tensors of a VGG with BatchNorm have the same names and shapes; an encoder of random and learnt layers
    would be frozen as if it had learnt."""
    torch.save(filled(SmallVgg()), tmp_path / "part.pt")
    model = Small(SmallVgg(normed=True))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(
        CheckpointError, match=r"part\.pt: 4 of its 4 tensors fit this encoder, which needs 8 .*s\.1\.weight"
    ):
        load_file_weights(model, tmp_path / "part.pt")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_tensors_of_two_parts_of_a_file_are_not_mixed(tmp_path: Path) -> None:
    """Student and teacher in one file, say: half an encoder of each is none."""
    own = filled(SmallVgg())
    first = {f"module.{key}": value for key, value in list(own.items())[:3]}
    other = {f"backbone.{key}": value + 1 for key, value in own.items()}
    torch.save(first | other, tmp_path / "two.pt")
    model = Small()
    loaded = load_file_weights(model, tmp_path / "two.pt")
    assert loaded.left_over == tuple(first)
    assert all(torch.equal(value, own[key] + 1) for key, value in model.encoder.state_dict().items())


def test_a_file_that_fits_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"a": torch.zeros(3), "features.0.weight": torch.zeros(9)}, path)
    with pytest.raises(CheckpointError, match=r"none of its 2 tensors fit this encoder, which needs 4\.") as caught:
        load_file_weights(Small(), path)
    assert str(path) in str(caught.value)


def test_a_model_without_an_encoder_is_not_filled_with_nothing(tmp_path: Path) -> None:
    torch.save(filled(SmallVgg()), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="none of its 4 tensors fit this encoder"):
        load_file_weights(Small(nn.Identity()), tmp_path / "w.pt")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, number: float) -> None:
    state = filled(SmallVgg())
    state["features.2.weight"][1, 2, 0, 1] = number
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"w\.pt: encoder\.features\.2\.weight holds values that are no numbers"):
        load_file_weights(Small(), tmp_path / "w.pt")


def test_files_of_before_batchnorm_counted_are_complete(tmp_path: Path) -> None:
    state = {key: value.float() for key, value in filled(SmallVgg(normed=True)).items() if "num_batches" not in key}
    torch.save(state, tmp_path / "old.pt")
    loaded = load_file_weights(Small(SmallVgg(normed=True)), tmp_path / "old.pt")
    assert (loaded.matched, loaded.expected, loaded.missing) == (8, 8, ())


def test_fully_connected_layers_fill_convolutions(tmp_path: Path) -> None:
    encoder = SmallVgg(classifier=True)
    state = {
        key: value.flatten(1) if key.startswith("classifier") and value.ndim == 4 else value
        for key, value in filled(encoder).items()
    }
    linear = state["classifier.0.weight"]
    assert linear.shape == (5, 6 * 7 * 7)
    torch.save(state, tmp_path / "w.pt")
    loaded = load_file_weights(Small(encoder), tmp_path / "w.pt")
    assert (loaded.matched, loaded.missing) == (8, ())
    x = torch.randn(2, 6, 7, 7)
    expected = nn.functional.linear(x.flatten(1), linear, state["classifier.0.bias"])
    torch.testing.assert_close(encoder.classifier[0](x)[..., 0, 0], expected)


def test_what_a_file_may_lack_is_reported(tmp_path: Path) -> None:
    torch.save(filled(SmallVgg()), tmp_path / "w.pt")
    loaded = load_file_weights(Small(SmallVgg(classifier=True)), tmp_path / "w.pt")
    assert (loaded.matched, loaded.expected) == (4, 8)
    assert loaded.missing == tuple(f"classifier.{name}" for name in ("0.weight", "0.bias", "2.weight", "2.bias"))
    assert loaded.lines()[1].startswith("  left random: 4 (classifier.0.weight, ")


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_the_first_convolution_is_made_to_fit_other_images(tmp_path: Path, channels: int) -> None:
    state = filled(SmallVgg())
    torch.save(state, tmp_path / "w.pt")
    model = Small(SmallVgg(channels))
    loaded = load_file_weights(model, tmp_path / "w.pt")
    learnt, own = state["features.0.weight"], model.encoder.state_dict()["features.0.weight"]
    assert own.shape == (4, channels, 3, 3)
    for channel in range(channels):
        expected = learnt.sum(1) if channels == 1 else learnt[:, channel % 3] * 3 / channels
        torch.testing.assert_close(own[:, channel], expected)
    assert len(loaded.notes) == 1 and "made for 3 input channels" in loaded.notes[0]
    assert torch.equal(model.encoder.state_dict()["features.2.weight"], state["features.2.weight"])


def test_grey_images_give_a_grey_pictures_features(tmp_path: Path) -> None:
    """A grey picture is three equal channels: summed over them, the weights answer alike."""
    torch.save(filled(SmallVgg()), tmp_path / "w.pt")
    grey, colour = Small(SmallVgg(1)), Small()
    for model in (grey, colour):
        load_file_weights(model, tmp_path / "w.pt")
    images = torch.randn(1, 1, 9, 9)
    results = [
        model.encoder.get_submodule("features")(x) for model, x in ((grey, images), (colour, images.expand(1, 3, 9, 9)))
    ]
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)


class Malice:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_file_with_code_in_it_is_refused_without_running_it(tmp_path: Path, writer: str) -> None:
    path, trace = tmp_path / "w.pt", tmp_path / "executed"
    content = {"0.weight": Malice(trace)}
    torch.save(content, path) if writer == "torch" else path.write_bytes(pickle.dumps(content))
    with pytest.raises(
        CheckpointError, match="more than tensors" if writer == "torch" else "not a torch file"
    ) as caught:
        load_file_weights(Small(), path)
    assert str(path) in str(caught.value)
    assert not trace.exists()


class Cache:
    """Torch's cache, with weights in the place of torchvision's under a name that tells their hash."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def address(self, content: bytes) -> str:
        address = f"https://weights.example/vgg16-{hashlib.sha256(content).hexdigest()[:8]}.pth"
        self._monkeypatch.setattr(load, "_address", lambda name: address)
        return address

    def put(self, content: bytes, stored: bytes | None = None) -> Path:
        self.address(content)
        place = imagenet_file(VGG16)
        place.parent.mkdir(parents=True)
        place.write_bytes(content if stored is None else stored)
        return place


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Cache:
    return Cache(monkeypatch)


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_weights_put_into_the_named_place_are_taken(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    state = filled(SmallVgg())
    place = cache.put(saved(state | {"classifier.0.weight": torch.zeros(4, 4)}))
    model = Small()
    loaded = load_imagenet(model)
    assert (loaded.matched, loaded.left_over) == (4, ("classifier.0.weight",))
    assert loaded.source == f"ImageNet ({place.name})"
    assert all(torch.equal(value, state[key]) for key, value in model.encoder.state_dict().items())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("stored", [b"", b"no torch file", saved({"features.0.weight": torch.zeros(3)})])
def test_a_file_of_another_hash_in_torchs_cache_is_named(cache: Cache, stored: bytes) -> None:
    place = cache.put(saved(filled(SmallVgg())), stored)
    with pytest.raises(CheckpointError, match=r"damaged \(its SHA-256 begins with .*Delete it") as caught:
        load_imagenet(Small())
    assert str(caught.value).startswith(f"{place}: ")


def test_a_file_with_code_in_torchs_cache_is_refused_without_running_it(tmp_path: Path, cache: Cache) -> None:
    trace = tmp_path / "executed"
    cache.put(saved({"features.0.weight": Malice(trace)}))
    with pytest.raises(CheckpointError, match="damaged"):
        load_imagenet(Small())
    assert not trace.exists()


class Response(io.BytesIO):
    """What urlopen gives."""

    headers: Any = None

    def info(self) -> Message:
        return Message()


@pytest.mark.parametrize("is_sound", [True, False])
def test_a_download_is_kept_if_its_hash_is_right(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_sound: bool
) -> None:
    content = saved(filled(SmallVgg()))
    address = cache.address(content)
    sent = content if is_sound else content[:-100]
    monkeypatch.setattr("torch.hub.urlopen", lambda *_, **__: Response(sent))
    if is_sound:
        assert load_imagenet(Small()).matched == 4
    else:
        with pytest.raises(CheckpointError, match=r"cannot be downloaded .*invalid hash value") as caught:
            load_imagenet(Small())
        assert address in str(caught.value)
    assert imagenet_file(VGG16).is_file() == is_sound
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("model", "file"),
    [("vgg16-unet", "vgg16-397923af.pth"), ("resnet", "resnet34-b627a593.pth")],
)
def test_without_a_network_the_file_and_its_place_are_said(tmp_path: Path, model: str, file: str) -> None:
    built = build_model(model, 2) if model != "resnet" else build_resnet(ModelSpec(2), 34, "batchnorm")
    before = socket.getdefaulttimeout()
    with pytest.raises(CheckpointError) as caught:
        load_imagenet(built)
    text, place = str(caught.value), tmp_path / "torch-home" / "hub" / "checkpoints" / file
    assert f"https://download.pytorch.org/models/{file}" in text
    assert str(place) in text
    assert "no network in this test" in text
    assert socket.getdefaulttimeout() == before, "the time limit of other connections is left alone"


@pytest.mark.parametrize("name", ["timm:hrnet_w18", "smp:efficientnet-b0"])
def test_other_hubs_are_asked_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    asked = []
    state = filled(SmallVgg())

    def fetch(source: str) -> tuple[str, State]:
        asked.append(source)
        return "ImageNet (from there)", state

    hub = ModuleType("toolkit.models.weights.hub")
    hub.fetch = fetch  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toolkit.models.weights.hub", hub)
    model = Small()
    model.encoder.imagenet = name  # type: ignore[assignment]
    loaded = load_imagenet(model)
    assert asked == [name]
    assert (loaded.source, loaded.matched) == ("ImageNet (from there)", 4)


def test_a_folder_gives_torchvisions_file_before_any_other(tmp_path: Path, cache: Cache) -> None:
    state = filled(SmallVgg())
    content = saved(state)
    file = tmp_path / Path(cache.address(content)).name
    for name in ("a.pt", "b.safetensors"):
        (tmp_path / name).write_bytes(b"another")
    file.write_bytes(content)
    model = Small()
    assert load_file_weights(model, tmp_path).source == str(file)
    assert torch.equal(model.encoder.state_dict()["features.0.bias"], state["features.0.bias"])
    file.write_bytes(saved({key: value + 1 for key, value in state.items()}))
    with pytest.raises(CheckpointError, match=r"damaged \(its SHA-256 .*Fetch it again"):
        load_file_weights(model, tmp_path)


def test_a_folder_with_one_file_of_weights_gives_it(tmp_path: Path) -> None:
    save_file(filled(SmallVgg()), tmp_path / "model.safetensors")
    (tmp_path / "README.txt").write_text("about them")
    assert load_file_weights(Small(), tmp_path).source == str(tmp_path / "model.safetensors")
