"""Keras' VGG: what it computes from its own input, ours computes from ours."""

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from toolkit.errors import CheckpointError
from toolkit.models.base import SegmentationModel
from toolkit.models.weights.keras_vgg import from_keras, is_keras
from toolkit.models.weights.load import load_file_weights
from toolkit.models.weights.read import read_state

Arrays = dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]

VGG16 = (2, 2, 3, 3, 3)
MODULES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Of torchvision's vgg16().features."""


def drawn(blocks: tuple[int, ...] = VGG16) -> Arrays:
    """(block, number) -> kernel (H, W, I, O) and bias, of few channels so that it is quick."""
    rng, before, layers = np.random.default_rng(3), 3, {}
    for block, count in enumerate(blocks, start=1):
        for number in range(1, count + 1):
            out = 4 + block
            kernel = rng.normal(size=(3, 3, before, out)) / np.sqrt(9 * before)
            layers[block, number] = (kernel.astype(np.float32), rng.normal(size=out).astype(np.float32))
            before = out
    return layers


def classic(name: str, kind: str) -> str:
    return f"{name}/{name}_{'W' if kind == 'kernel' else 'b'}_1:0"


NAMINGS: dict[str, Callable[[str, str], str]] = {
    "first h5 files": classic,
    "tensorflow": lambda name, kind: f"model_weights/{name}/{name}/{kind}:0",
    "short": lambda name, kind: f"{name}/{kind}",
    "torch-like": lambda name, kind: f"{name}.{'weight' if kind == 'kernel' else 'bias'}",
}


def named(layers: Arrays, naming: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for (block, number), arrays in layers.items():
        for kind, array in zip(("kernel", "bias"), arrays, strict=True):
            result[NAMINGS[naming](f"block{block}_conv{number}", kind)] = array
    return result


def torched(arrays: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


def keras_features(layers: Arrays, rgb: np.ndarray) -> np.ndarray:
    """First two convolutions of (H, W, 3) in 0..255, without padding, as Keras' preprocess_input has it for VGG."""
    x = rgb[..., ::-1].astype(np.float64) - (103.939, 116.779, 123.68)
    for key in ((1, 1), (1, 2)):
        kernel, bias = layers[key]
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))  # (H, W, C, 3, 3)
        x = np.maximum(np.einsum("hwcij,ijco->hwo", windows, kernel.astype(np.float64)) + bias, 0)
    return x


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("is_torch_layout", [False, True])
def test_our_input_gives_the_features_of_keras(naming: str, is_torch_layout: bool) -> None:
    layers = drawn()
    state = torched(named(layers, naming))
    if is_torch_layout:  # as a port to torch saves them, still for Keras' input
        state = {key: value.permute(3, 2, 0, 1) if value.ndim == 4 else value for key, value in state.items()}
    assert is_keras(state)
    result = from_keras(state)
    assert list(result) == [f"features.{index}.{kind}" for index in MODULES for kind in ("weight", "bias")]

    rgb = np.random.default_rng(1).integers(0, 256, (9, 8, 3))
    ours = (rgb / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    x = torch.tensor(ours, dtype=torch.float32).permute(2, 0, 1)[None]
    for index in (0, 2):
        x = torch.relu(F.conv2d(x, result[f"features.{index}.weight"], result[f"features.{index}.bias"]))
    expected = keras_features(layers, rgb)
    assert expected.std() > 1
    np.testing.assert_allclose(x[0].permute(1, 2, 0).numpy(), expected, rtol=1e-4, atol=1e-3)


def test_only_the_first_layer_is_rewritten() -> None:
    layers = drawn()
    result = from_keras(torched(named(layers, "short")))
    kernel, bias = layers[3, 2]
    np.testing.assert_array_equal(result["features.12.weight"].permute(2, 3, 1, 0).numpy(), kernel)
    np.testing.assert_array_equal(result["features.12.bias"].numpy(), bias)


@pytest.mark.parametrize(("blocks", "last"), [(VGG16, 28), ((2, 2, 4, 4, 4), 34)])
def test_layers_that_keras_only_counts_are_told_by_their_order(blocks: tuple[int, ...], last: int) -> None:
    """Keras 3 names them conv2d, conv2d_1, ...; 10 comes after 2, and another model may have been counted before."""
    layers = drawn(blocks)
    for first in (0, 5):
        state = {}
        for index, arrays in enumerate(layers.values(), start=first):
            for number, array in enumerate(arrays):
                state[f"layers/conv2d{f'_{index}' if index else ''}/vars/{number}"] = torch.from_numpy(array)
        assert is_keras(state)
        result, expected = from_keras(state), from_keras(torched(named(layers, "short")))
        assert f"features.{last}.bias" in result
        assert result.keys() == expected.keys()
        assert all(torch.equal(value, expected[key]) for key, value in result.items())


def test_the_fully_connected_layers_come_along() -> None:
    """Keras flattens (H, W, C), torchvision (C, H, W); 512 channels of 7x7."""
    state = torched(named(drawn(), "short"))
    dense = torch.randn(7 * 7 * 512, 3)
    second = torch.randn(3, 3)
    extra = {"fc1/kernel": dense, "fc1/bias": torch.ones(3), "fc2/kernel": second, "fc2/bias": torch.zeros(3)}
    result = from_keras(state | extra | {"predictions/kernel": torch.zeros(3, 2)})
    x = torch.randn(1, 512, 7, 7)
    expected = x.permute(0, 2, 3, 1).flatten(1) @ dense
    torch.testing.assert_close(F.linear(x.flatten(1), result["classifier.0.weight"]), expected, atol=1e-3, rtol=1e-4)
    assert torch.equal(result["classifier.3.weight"], second.T)
    assert "predictions/kernel" in result and "classifier.3.bias" in result


@pytest.mark.parametrize(
    "names",
    [
        ["features.0.weight", "features.0.bias"],
        ["layer1.0.conv1.weight"],
        ["layers/conv2d/vars/0", "layers/conv2d_1/vars/0"],
        ["optimizer_weights/Adam/block1_conv1/kernel/m:0"],
        ["block1_conv2/kernel"],
    ],
)
def test_other_files_are_left_alone(names: list[str]) -> None:
    assert not is_keras({name: torch.zeros(3, 3, 3, 64) for name in names})


def test_a_keras_file_with_a_bias_only_is_no_vgg() -> None:
    assert not is_keras({"block1_conv1/bias": torch.zeros(64)})


class Vgg(SegmentationModel):
    def __init__(self) -> None:
        super().__init__()
        layers, before = [], 3
        for block, count in enumerate(VGG16, start=1):
            for _ in range(count):
                layers += [nn.Conv2d(before, 4 + block, 3), nn.ReLU()]
                before = 4 + block
            layers.append(nn.MaxPool2d(2))
        self.encoder = nn.Module()
        self.encoder.features = nn.Sequential(*layers)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pt"])
def test_files_with_keras_names_fill_an_encoder(tmp_path: Path, suffix: str) -> None:
    path, arrays = tmp_path / f"vgg{suffix}", named(drawn(), "first h5 files")
    if suffix == ".npz":
        np.savez_compressed(path, **arrays)
    elif suffix == ".safetensors":
        save_file(torched(arrays), path)
    else:
        torch.save(torched(arrays), path)
    check_filled(path)


def check_filled(path: Path) -> None:
    model = Vgg()
    loaded = load_file_weights(model, path)
    assert (loaded.matched, loaded.expected) == (26, 26)
    assert "Keras" in loaded.notes[0]
    expected = from_keras(torched(named(drawn(), "short")))
    assert all(torch.equal(value, expected[key]) for key, value in model.encoder.state_dict().items())


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras"])
def test_keras_own_files_fill_an_encoder(tmp_path: Path, suffix: str) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / f"vgg{suffix}"
    inner = tmp_path / "model.weights.h5"
    with h5py.File(inner if suffix == ".keras" else path, "w") as file:
        for key, array in named(drawn(), "tensorflow").items():
            file[key] = array
            file[f"optimizer_weights/{key}/m"] = np.zeros_like(array)
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
        file["text"] = "no weights"
    if suffix == ".keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(inner, inner.name)
            archive.writestr("config.json", "{}")
    check_filled(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"not a Keras file of weights") as caught:
        load_file_weights(Vgg(), path)
    assert str(caught.value).startswith(f"{path}: ")


def test_what_lies_in_another_file_is_not_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("kernel", (8,), "f4", external=[(str(tmp_path / "secret.bin"), 0, 32)])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones(8, np.float32)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((8,), "f4")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (8,))
        file.create_virtual_dataset("kernel", layout)
    for name in ("raw.h5", "virtual.h5"):
        with pytest.raises(CheckpointError, match=rf"{name}: kernel lies in another file"):
            read_state(tmp_path / name)


def test_without_h5py_the_ways_out_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "vgg.h5").touch()
    with pytest.raises(CheckpointError, match=r"vgg\.h5: h5py is needed .* pip install 'seg-toolkit\[keras\]'.*\.npz"):
        load_file_weights(Vgg(), tmp_path / "vgg.h5")
