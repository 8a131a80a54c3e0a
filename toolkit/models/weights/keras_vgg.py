"""VGG16 and VGG19 weights of Keras, by torchvision's names and for our input.

Keras' are those that the paper's authors published for Caffe: their input is BGR in 0..255 less a mean colour, ours RGB
normalised with ImageNet's mean and deviation. The first layer is rewritten so that its features are the same, but for
one pixel along the border, where padding means another colour. A file in torchvision's naming is taken as torchvision's:
nothing in it tells that its numbers were Keras'.
"""

import re

import torch

CAFFE_MEAN = (123.68, 116.779, 103.939)
"""Red, green, blue."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_CONV = re.compile(r"(?<![A-Za-z0-9])block([1-5])_conv([1-4])(?![0-9])")
_DENSE = re.compile(r"(?<![A-Za-z0-9])fc([12])(?![0-9])")
_NUMBERED = re.compile(r"(?:^|/)(conv2d|dense)(?:_(\d+))?/vars/[01]$")  # Keras 3 names layers by kind and order only
_BLOCKS_OF = {13: (2, 2, 3, 3, 3), 16: (2, 2, 4, 4, 4)}

_DENSE_NAMES = {1: "classifier.0", 2: "classifier.3"}


def is_keras(state: dict[str, torch.Tensor]) -> bool:
    """Whether a file holds the convolutions of a Keras VGG."""
    return any(layer == (1, 1) and state[key].ndim == 4 for key, layer in _layers(state).items())


def from_keras(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Torchvision's names, layout (O, I, H, W) and input; what has no place there keeps its name. Call `is_keras` first."""
    layers = _layers(state)
    numbers = _module_numbers({layer for layer in layers.values() if layer[0]})
    kernel = next(value for key, value in state.items() if layers.get(key) == (1, 1) and value.ndim == 4)
    is_hwio = kernel.shape[:2] == (3, 3)
    result: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        layer = layers.get(key)
        name = _name(layer, value, numbers) if layer is not None else None
        if name is None or name in result:
            result[key] = value
        else:
            result[name] = _to_torch(value, name) if is_hwio else value
    weight, bias = result["features.0.weight"], result.get("features.0.bias")
    if bias is not None and weight.shape[:2] == (len(bias), 3):
        result["features.0.weight"], result["features.0.bias"] = _for_our_input(weight, bias)
    return result


def _layers(state: dict[str, torch.Tensor]) -> dict[str, tuple[int, int]]:
    """Name -> (block, number in it) of convolutions, (0, 1) and (0, 2) for the dense layers."""
    found: dict[str, tuple[int, int]] = {}
    for key in state:
        if "optimizer" in key:  # a whole model's: its moments are called like the weights
            continue
        if match := _CONV.search(key):
            found[key] = (int(match[1]), int(match[2]))
        elif match := _DENSE.search(key):
            found[key] = (0, int(match[1]))
    return found or _numbered_layers(state)


def _numbered_layers(state: dict[str, torch.Tensor]) -> dict[str, tuple[int, int]]:
    matches = {key: match for key in state if "optimizer" not in key and (match := _NUMBERED.search(key))}
    convolutions = {int(match[2] or 0) for match in matches.values() if match[1] == "conv2d"}
    if len(convolutions) not in _BLOCKS_OF:
        return {}
    places = [
        (block, conv)
        for block, count in enumerate(_BLOCKS_OF[len(convolutions)], start=1)
        for conv in range(1, count + 1)
    ]
    layer_of = dict(zip(sorted(convolutions), places, strict=True))  # Keras counts on if it built other models before
    dense = sorted({int(match[2] or 0) for match in matches.values() if match[1] == "dense"})
    return {
        key: layer_of[int(match[2] or 0)] if match[1] == "conv2d" else (0, dense.index(int(match[2] or 0)) + 1)
        for key, match in matches.items()
    }


def _module_numbers(convolutions: set[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Position of each convolution among torchvision's modules: a ReLU follows each, a pool each block."""
    return {layer: 2 * index + layer[0] - 1 for index, layer in enumerate(sorted(convolutions))}


def _name(layer: tuple[int, int], value: torch.Tensor, numbers: dict[tuple[int, int], int]) -> str | None:
    block, number = layer
    base = f"features.{numbers[layer]}" if block else _DENSE_NAMES.get(number)
    kinds = {4 if block else 2: "weight", 1: "bias"}
    return f"{base}.{kinds[value.ndim]}" if base and value.ndim in kinds else None


def _to_torch(value: torch.Tensor, name: str) -> torch.Tensor:
    if value.ndim == 4:
        return value.permute(3, 2, 0, 1).contiguous()
    if value.ndim == 2 and name == "classifier.0.weight" and value.shape[0] == 7 * 7 * 512:
        return value.reshape(7, 7, 512, -1).permute(3, 2, 0, 1).flatten(1)  # flattened from (H, W, C), not (C, H, W)
    return value.T.contiguous() if value.ndim == 2 else value


def _for_our_input(weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """With x our input, Keras sees 255 (x std + mean) - caffe_mean, in the order blue, green, red."""
    mean, std, caffe = (torch.tensor(c, dtype=torch.float64) for c in (IMAGENET_MEAN, IMAGENET_STD, CAFFE_MEAN))
    rgb = weight.double().flip(1)
    shift = (rgb.sum(dim=(2, 3)) * (255 * mean - caffe)).sum(dim=1)
    return (rgb * (255 * std).view(1, 3, 1, 1)).to(weight.dtype), (bias.double() + shift).to(bias.dtype)
