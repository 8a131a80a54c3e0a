"""Encoder weights from files and from torch's cache, without a network."""

import pickle
import socket
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from toolkit.errors import CheckpointError
from toolkit.models.build import build_model
from toolkit.models.weights import imagenet_file, load_file_weights, load_imagenet

PREFIXES = ["", "features.", "vgg.features.", "module.encoder.features."]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unplugged(*_: object, **__: object) -> None:
        raise URLError("no network in this test")

    monkeypatch.setattr("torch.hub.urlopen", unplugged)


@pytest.fixture(scope="module")
def trained() -> dict[str, torch.Tensor]:
    """What torchvision's VGG16 features would hold: 26 tensors by bare names."""
    generator = torch.Generator().manual_seed(11)
    with torch.device("meta"):
        state = torchvision.models.vgg16(weights=None).features.state_dict()
    return {key: torch.randn(value.shape, generator=generator) for key, value in state.items()}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_fill_the_encoder_whatever_their_names_begin_with(
    tmp_path: Path, trained: dict[str, torch.Tensor], prefix: str, suffix: str
) -> None:
    path = tmp_path / f"weights{suffix}"
    state = {prefix + key: value for key, value in trained.items()}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    model = build_model("vgg16-unet", 2)
    head = model.state_dict()["head.weight"].clone()
    loaded = load_file_weights(model, path)
    assert (loaded.matched, loaded.expected, loaded.left_over) == (26, 26, ())
    own = list(model.encoder.state_dict().values())
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(own, trained.values(), strict=True))
    assert torch.equal(model.state_dict()["head.weight"], head)


def test_what_does_not_belong_to_the_encoder_is_named(tmp_path: Path, trained: dict[str, torch.Tensor]) -> None:
    state = {f"vgg.features.{key}": value for key, value in trained.items()} | {"final.bias": torch.zeros(2)}
    torch.save({"state_dict": state, "epoch": 7}, tmp_path / "w.pth")
    loaded = load_file_weights(build_model("vgg16-unet", 2), tmp_path / "w.pth")
    assert loaded.matched == 26
    assert loaded.left_over == ("final.bias",)


def test_weights_of_a_related_model_are_refused(tmp_path: Path, trained: dict[str, torch.Tensor]) -> None:
    """Some tensors of VGG16 with BatchNorm have the same names and shapes; an encoder of random and learnt layers
    would be frozen as if it had learnt."""
    part = dict(list(trained.items())[:6])
    torch.save(part, tmp_path / "part.pt")
    with pytest.raises(CheckpointError, match=r"part\.pt: 6 of its 6 tensors fit this encoder, which needs 26"):
        load_file_weights(build_model("vgg16-unet", 2), tmp_path / "part.pt")


@pytest.mark.parametrize("content", [b"", b"no torch file"])
def test_a_damaged_file_in_torchs_cache_is_named(content: bytes) -> None:
    file = imagenet_file("vgg16-unet")
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"vgg16-397923af\.pth: damaged .* Delete it"):
        load_imagenet(build_model("vgg16-unet", 2), "vgg16-unet")


def test_a_file_that_fits_nothing_is_refused(tmp_path: Path, trained: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "other.pt"
    torch.save(trained, path)
    model = build_model("unet", 2, width=4)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"none of its 26 tensors fit this encoder") as caught:
        load_file_weights(model, path)
    assert str(path) in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


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
    with pytest.raises(CheckpointError, match="not a torch file of plain weights") as caught:
        load_file_weights(build_model("unet", 2, width=4), path)
    assert str(path) in str(caught.value)
    assert not trace.exists()


def test_a_file_with_code_in_torchs_cache_is_refused_without_running_it(tmp_path: Path) -> None:
    trace, file = tmp_path / "executed", imagenet_file("vgg16-unet")
    file.parent.mkdir(parents=True)
    torch.save({"features.0.weight": Malice(trace)}, file)
    with pytest.raises(CheckpointError, match="damaged"):
        load_imagenet(build_model("vgg16-unet", 2), "vgg16-unet")
    assert not trace.exists()


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights " * 50], ids=["empty", "text"])
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        load_file_weights(build_model("unet", 2, width=4), path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.pt: there is no such file"):
        load_file_weights(build_model("unet", 2, width=4), tmp_path / "absent.pt")


def test_without_a_network_the_file_and_its_place_are_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_imagenet(build_model("vgg16-unet", 2), "vgg16-unet")
    text = str(caught.value)
    assert "https://download.pytorch.org/models/vgg16-397923af.pth" in text
    assert str(imagenet_file("vgg16-unet")) in text
    assert imagenet_file("vgg16-unet").is_relative_to(tmp_path / "torch-home")
    assert "no network in this test" in text


def test_the_time_limit_of_other_connections_is_left_alone() -> None:
    before = socket.getdefaulttimeout()
    with pytest.raises(CheckpointError):
        load_imagenet(build_model("vgg16-unet", 2), "vgg16-unet")
    assert socket.getdefaulttimeout() == before


def test_weights_put_into_the_named_place_are_taken(
    trained: dict[str, torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    place = imagenet_file("vgg16-unet")
    place.parent.mkdir(parents=True)
    state = {f"features.{key}": value for key, value in trained.items()} | {"classifier.0.weight": torch.zeros(4, 4)}
    torch.save(state, place)
    model = build_model("vgg16-unet", 2)
    loaded = load_imagenet(model, "vgg16-unet")
    assert (loaded.matched, loaded.left_over) == (26, ("classifier.0.weight",))
    assert torch.equal(next(iter(model.encoder.state_dict().values())), trained["0.weight"])
    assert capsys.readouterr().out == ""
