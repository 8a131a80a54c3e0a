"""Whole models from files: a checkpoint of this program, of a tutorial, or any of the same model."""

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from toolkit.errors import CheckpointError
from toolkit.models.base import SegmentationModel
from toolkit.models.weights.load import load_model_weights

State = dict[str, torch.Tensor]


class Tiny(SegmentationModel):
    """Foreign names, a head that a fusion precedes, and a side output: sizes with K and with 2 K in them."""

    foreign_names: ClassVar = {"vgg.": "encoder.", "up.": "decoder.", "final.": "head."}

    def __init__(self, classes: int = 2, *, channels: int = 3, width: int = 4, decoder: int = 5) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(channels, width, 3), nn.BatchNorm2d(width))
        self.full = nn.Conv2d(channels, 4, 3)
        self.decoder = nn.Sequential(nn.Conv2d(width, decoder, 3), nn.Conv2d(decoder, decoder, 3))
        self.head = nn.Conv2d(decoder, classes, 1)
        self.fuse = nn.Conv2d(2 * classes, classes, 1)
        self.enlarge = nn.ConvTranspose2d(classes, classes, 4)


class Whole(SegmentationModel):
    """Without an encoder of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1))

    @property
    def encoder(self) -> nn.Module:  # type: ignore[override]
        return nn.Identity()


def equal(model: nn.Module, state: State, names: tuple[str, ...] = ("",)) -> bool:
    own = model.state_dict()
    return all(torch.equal(own[key], value) for key, value in state.items() if key.startswith(names))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_all_of_a_model_is_filled(tmp_path: Path, suffix: str, prefix: str) -> None:
    state, path = Tiny().state_dict(), tmp_path / f"w{suffix}"
    content = {prefix + key: value for key, value in state.items()}
    save_file(content, path, {"seg": "{}"}) if suffix == ".safetensors" else torch.save({"model": content}, path)
    model = Tiny()
    loaded = load_model_weights(model, path)
    assert (loaded.matched, loaded.expected) == (18, 18)
    assert (loaded.missing, loaded.left_over, loaded.notes, loaded.source) == ((), (), (), str(path))
    assert equal(model, state)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_tutorials_names_are_understood(tmp_path: Path, prefix: str) -> None:
    state = Tiny().state_dict()
    foreign = {}
    for key, value in state.items():
        old = next((old for old, new in Tiny.foreign_names.items() if key.startswith(new)), "")
        foreign[prefix + (old + key.partition(".")[2] if old else key)] = value
    assert f"{prefix}vgg.0.weight" in foreign and f"{prefix}final.bias" in foreign
    foreign[f"{prefix}vgg.classifier.0.weight"] = torch.zeros(2)
    torch.save(foreign, tmp_path / "w.pth")
    model = Tiny()
    loaded = load_model_weights(model, tmp_path / "w.pth")
    assert (loaded.matched, loaded.missing) == (18, ())
    assert loaded.left_over == (f"{prefix}vgg.classifier.0.weight",), "the file's own name"
    assert equal(model, state)


def test_heads_of_other_classes_stay_random_and_are_reported(tmp_path: Path) -> None:
    state = Tiny(classes=7).state_dict()
    torch.save(state, tmp_path / "w.pt")
    model = Tiny(classes=3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    loaded = load_model_weights(model, tmp_path / "w.pt")
    heads = tuple(f"{part}.{kind}" for part in ("head", "fuse", "enlarge") for kind in ("weight", "bias"))
    assert loaded.missing == heads and sorted(loaded.left_over) == sorted(heads)
    assert loaded.matched == 12
    assert loaded.notes == ("heads of another size, as for other classes: 6 tensors left random",)
    assert equal(model, state, ("encoder.", "decoder.", "full."))
    assert equal(model, before, ("head.", "fuse.", "enlarge."))


def test_images_of_other_channels_are_adapted_to_wherever_they_enter(tmp_path: Path) -> None:
    state = Tiny().state_dict()
    torch.save(state, tmp_path / "w.pt")
    model = Tiny(channels=1)
    loaded = load_model_weights(model, tmp_path / "w.pt")
    assert loaded.missing == () and len(loaded.notes) == 1
    for name in ("encoder.0.weight", "full.weight"):
        torch.testing.assert_close(model.state_dict()[name], state[name].sum(1, keepdim=True))


def test_half_a_decoder_is_taken_and_the_rest_named(tmp_path: Path) -> None:
    state = {key: value for key, value in Tiny().state_dict().items() if not key.startswith(("fuse.", "enlarge."))}
    torch.save(state, tmp_path / "w.pt")
    loaded = load_model_weights(Tiny(), tmp_path / "w.pt")
    assert loaded.missing == ("fuse.weight", "fuse.bias", "enlarge.weight", "enlarge.bias")


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({}, "none of its 0 tensors fit this model, which needs 18"),
        ({"x": torch.zeros(2)}, "none of its 1 tensors fit this model"),
        (Tiny(width=6).state_dict(), r"\(encoder\.0\.weight has shape \(4, 3, 3, 3\), in the file \(6, 3, 3, 3\)\)"),
        ({k: v for k, v in Tiny().state_dict().items() if "1.running" not in k}, r"\(encoder\.1\.running_mean is miss"),
        ({k: v for k, v in Tiny().state_dict().items() if k.startswith("encoder")}, "--encoder-weights"),
        (Tiny(classes=5, decoder=9).state_dict(), r"\(decoder\.0\.weight has shape"),
    ],
    ids=["empty", "foreign", "width", "part", "encoder only", "decoder"],
)
def test_a_file_of_another_model_is_refused_and_changes_nothing(tmp_path: Path, state: State, reason: str) -> None:
    path = tmp_path / "w.pt"
    torch.save(state, path)
    model = Tiny()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=reason) as caught:
        load_model_weights(model, path)
    assert str(caught.value).startswith(f"{path}: ")
    assert equal(model, before)


def test_a_model_without_an_encoder_is_filled_in_full_or_not_at_all(tmp_path: Path) -> None:
    state = Whole().state_dict()
    torch.save(state, tmp_path / "w.pt")
    model = Whole()
    assert load_model_weights(model, tmp_path / "w.pt").matched == 4
    assert equal(model, state)
    torch.save({key: value for key, value in state.items() if key != "net.1.bias"}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"net\.1\.bias is missing"):
        load_model_weights(Whole(), tmp_path / "w.pt")
