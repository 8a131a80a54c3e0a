"""ncnn: plain fp32 convolutions by Winograd's algorithm, the quickest exact ones on a CPU.

A model is three files: NAME.ncnn.param, the layers as text; NAME.ncnn.bin, the weights; and NAME.ncnn.json, its card
with a checksum of the other two, for which ncnn has no room.
"""

import json
import zlib
from pathlib import Path

import ncnn
import numpy as np
import torch

from toolkit.engines.base import Engine, ModelCard
from toolkit.engines.naming import companions_of, require_beside, weights_of
from toolkit.engines.precision import settle_precision
from toolkit.errors import CheckpointError, RunError, UsageError
from toolkit.files import read_file

INPUT, OUTPUT = "in0", "out0"
"""What pnnx calls them."""

_MAGIC = "7767517"
_LARGEST_TEXT = 64 << 20
_LARGEST_WEIGHTS = 16 << 30
_LONGEST_NAME = 255  # ncnn reads names into a buffer of this length


class NcnnEngine(Engine):
    """A model in ncnn. It computes one picture at a time, with as many threads as PyTorch uses."""

    name = "ncnn"

    def __init__(self, param: Path, card: ModelCard, precision: str) -> None:
        self.card, self.precision, self._file = card, precision, param
        self._net = open_net(param, weights_of(param), bf16=precision == "bf16")

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        upscale = self.card.preprocess.upscale
        N, h, w = images.shape[:3]
        logits = torch.empty((N, len(self.card.classes), upscale * h, upscale * w))
        for index in range(N):
            with torch.inference_mode():
                image = self.card.preprocess.normalise(images[index : index + 1])[0].contiguous()
            shape = compute(self._net, image, logits[index])
            if shape != logits.shape[1:]:
                raise RunError(
                    f"{self._file}: ncnn gave {shape or 'nothing'} for a picture of {h} x {w}, not logits "
                    f"{tuple(logits.shape[1:])}. Export the model again."
                )
        return logits


def open_model(path: Path, *, precision: str = "auto", device: str = "auto") -> NcnnEngine:
    """Open a .param file whose .bin and .json lie beside it.

    precision   "fp32"; or "bf16", which keeps activations and weights in 16 bits: less memory, hardly quicker

    Raises CheckpointError if the files cannot be used, UsageError for another precision or a device but the CPU.
    """
    if device not in ("auto", "cpu"):
        raise UsageError(f"device: ncnn computes on the cpu here, not on '{device}'.")
    chosen = settle_precision("ncnn", precision, ("fp32", "bf16"), "Other formats offer other ones.")
    require_beside(path, weights_of(path), card_of(path))
    text = read_file(path, _LARGEST_TEXT, CheckpointError)
    weights = read_file(weights_of(path), _LARGEST_WEIGHTS, CheckpointError)
    about = read_file(card_of(path), _LARGEST_TEXT, CheckpointError).decode("utf-8", "replace")
    card = ModelCard.from_json(about, card_of(path))
    if json.loads(about).get("checksums") != checksums(text, weights):
        raise CheckpointError(
            f"{path}: it, {weights_of(path).name} and {card_of(path).name} do not belong together, or one is damaged. "
            "Copy all three again, or export the model again."
        )
    _require_layers(text.decode("utf-8", "replace"), path)
    return NcnnEngine(path, card, chosen)


def open_net(param: Path, weights: Path, *, bf16: bool = False) -> ncnn.Net:
    """Load a network. Raises CheckpointError if ncnn cannot, be it for a layer that it does not know."""
    net = ncnn.Net()
    net.opt.num_threads = torch.get_num_threads()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = bf16
    if net.load_param(str(param)) != 0 or net.load_model(str(weights)) != 0:
        raise CheckpointError(f"{param}: this version of ncnn ({ncnn.__version__}) cannot read it.")
    return net


def compute(net: ncnn.Net, image: torch.Tensor, into: torch.Tensor) -> tuple[int, ...]:
    """float32 (3, h, w), contiguous -> what the network gives, float32 (K, r h, r w), copied to `into` if it fits.

    Returns its shape, or () if ncnn fails. Several threads may do this with one network.
    """
    extractor = net.create_extractor()
    pixels = image.numpy()  # ncnn only looks at the memory: it has to live until the end
    extractor.input(INPUT, ncnn.Mat(pixels))
    status, output = extractor.extract(OUTPUT)
    if status != 0:
        return ()
    found = np.asarray(output)
    if found.shape == into.shape:
        into.copy_(torch.from_numpy(found))
    return tuple(found.shape)


def card_of(param: Path) -> Path:
    """NAME.ncnn.json"""
    return companions_of(param)[1]


def checksums(text: bytes, weights: bytes) -> dict[str, int]:
    """CRC-32 of the .param and the .bin file, as the card holds them."""
    return {"param": zlib.crc32(text), "bin": zlib.crc32(weights)}


def _require_layers(text: str, path: Path) -> None:
    """Check what ncnn's own parser takes on trust: counts, and that every layer reads what an earlier one wrote."""
    try:
        magic, counts, *lines = text.split("\n")
        lines = [line for line in lines if line.strip()]
        layers, blobs = (int(number) for number in counts.split())
        if magic.strip() != _MAGIC or layers != len(lines):
            raise ValueError(f"{len(lines)} layers where {layers} are announced")
        made: set[str] = set()
        for line in lines:
            kind, name, *rest = line.split()
            reads, writes = int(rest[0]), int(rest[1])
            names = rest[2 : 2 + reads + writes]
            if min(reads, writes) < 0 or len(names) != reads + writes:
                raise ValueError(f"layer {name[:40]} lacks names")
            if max(map(len, (kind, name, *names))) > _LONGEST_NAME:
                raise ValueError("a name is too long")
            if not made.issuperset(names[:reads]) or not made.isdisjoint(names[reads:]):
                raise ValueError(f"layer {name[:40]} reads what no layer before it writes")
            made.update(names[reads:])
        if len(made) != blobs or not {INPUT, OUTPUT} <= made:
            raise ValueError(f"{len(made)} blobs where {blobs} are announced, or no {INPUT} and {OUTPUT}")
    except (ValueError, IndexError) as error:
        raise CheckpointError(f"{path}: not a network of ncnn, or a damaged one ({error}).") from None
