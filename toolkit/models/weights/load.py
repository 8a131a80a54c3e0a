"""Learnt weights for a model: ImageNet's for its encoder, or from a file for its encoder or for all of it."""

import contextlib
import hashlib
import importlib
import io
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from toolkit.errors import CheckpointError
from toolkit.models.base import SegmentationModel
from toolkit.models.foreign_names import own_name
from toolkit.models.weights.fit import Fit, best_fit, countable, strip
from toolkit.models.weights.keras_vgg import from_keras, is_keras
from toolkit.models.weights.read import find_file, read_state, short

_ENCODER_BEGINNINGS = ("module.", "_orig_mod.", "model.", "encoder.", "vgg.", "resnet.", "backbone.")
_MODEL_BEGINNINGS = ("module.", "_orig_mod.", "model.")

_HUBS = ("timm:", "smp:")
_HASH = re.compile(r"-([0-9a-f]{8,})\.pth$")

_SECONDS_WITHOUT_A_BYTE = 20.0


@dataclass(frozen=True)
class LoadedWeights:
    """What a file gave.

    matched    tensors that were filled, of the `expected` ones of the encoder, or of the whole model
    left_over  names in the file that had no place
    missing    names of the model that keep their random values
    has_encoder   whether all of the encoder was filled
    file       where they come from, None for the cache of torch or of a hub
    notes      what was done to make tensors fit
    """

    source: str
    matched: int
    expected: int
    left_over: tuple[str, ...]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    has_encoder: bool = True
    file: Path | None = None

    def lines(self) -> list[str]:
        """The same for people: one line, and one for each thing that is odd."""
        lines = [f"{self.source}, {self.matched} of {self.expected} tensors."]
        lines += [f"  {note}" for note in self.notes]
        for what, names in (("left random", self.missing), ("not used", self.left_over)):
            if names:
                lines.append(f"  {what}: {len(names)} ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})")
        return lines


def imagenet_of(model: SegmentationModel) -> str:
    """The name of the ImageNet weights of a model's encoder, torchvision's or `timm:NAME` or `smp:ENCODER`; empty: none."""
    name: str = getattr(model.encoder, "imagenet", "")
    return name


def imagenet_file(name: str) -> Path:
    """Where torch keeps torchvision's weights of this name once they are downloaded (below TORCH_HOME)."""
    return Path(torch.hub.get_dir(), "checkpoints", _file_name(_address(name)))


def load_imagenet(model: SegmentationModel) -> LoadedWeights:
    """Fill the encoder with its ImageNet weights, downloading them unless they are in the cache of torch or its hub.

    Raises CheckpointError with the file to fetch and where to put it if they cannot be had.
    """
    name = imagenet_of(model)
    if name.startswith(_HUBS):
        source, state = importlib.import_module("toolkit.models.weights.hub").fetch(name)
        return _fill_encoder(model, state, source)
    address = _address(name)
    return _fill_encoder(model, _download(name, address), f"ImageNet ({_file_name(address)})")


def load_file_weights(model: SegmentationModel, path: Path) -> LoadedWeights:
    """Fill the encoder from a file, or from a folder with torchvision's file or a single one in it.

    torchvision's names (`features.0.weight`), bare ones (`0.weight`), those of whole models (`vgg.features.0.weight`)
    and Keras' VGG (see `keras_vgg`) are understood. Raises CheckpointError if the file cannot be read or does not fill
    the whole encoder, but for what begins with one of `encoder.optional`.
    """
    file = find_file(path, lambda: _wanted(model))
    if _HASH.search(file.name) and file.name == _wanted(model):
        _check_hash(file, "Fetch it again.")
    return _fill_encoder(model, read_state(file), str(file))


def load_model_weights(model: SegmentationModel, path: Path) -> LoadedWeights:
    """Fill all of a model that a file holds: a checkpoint of seg or of a tutorial, or any state dict of the same model.

    What depends on the number of classes stays random where the file has another number. Raises CheckpointError if
    the file cannot be read, lacks a part of the encoder, or fits less than half of the rest.
    """
    file = find_file(path)
    given = read_state(file)
    called = {_own_name(key, getattr(model, "foreign_names", {})): key for key in given}
    state = {name: given[key] for name, key in called.items()}
    own = model.state_dict(keep_vars=True)
    fit = best_fit(own, state, lambda key: strip(key, _MODEL_BEGINNINGS))
    encoder, needed = _encoder_names(model, own)
    rest = [key for key in countable(own) if key not in encoder]
    heads = _of_other_classes(fit, rest)
    lacking = [key for key in needed if key not in fit.tensors]
    unknown = [key for key in rest if key not in fit.tensors and key not in heads]
    if lacking or not fit.tensors or 2 * len(unknown) > (len(rest) if needed else 0):
        way_out = "The file belongs to another model; if it holds an encoder only, give it with --encoder-weights."
        raise CheckpointError(f"{file}: {_refusal(fit, state, own, 'model', lacking or unknown)} {way_out}")
    notes = fit.notes + (
        (f"heads of another size, as for other classes: {len(heads)} tensors left random",) if heads else ()
    )
    loaded = _take(model, "", own, fit, state, str(file), notes)
    return replace(
        loaded,
        left_over=tuple(called[name] for name in loaded.left_over),
        has_encoder=encoder.isdisjoint(loaded.missing),
        file=file,
    )


def _fill_encoder(model: SegmentationModel, state: Mapping[str, torch.Tensor], source: str) -> LoadedWeights:
    notes: tuple[str, ...] = ()
    state = dict(state)
    if is_keras(state):
        state, notes = from_keras(state), ("Keras' VGG: input changed from BGR in 0..255 to normalised RGB",)
    own = model.encoder.state_dict()
    fit = best_fit(own, state, _split_encoder)
    lacking = [key for key in countable(own) if key not in fit.tensors and not key.startswith(_optional(model))]
    if lacking or not fit.tensors:
        reason = _refusal(fit, state, own, "encoder", lacking)
        raise CheckpointError(f"{source}: {reason} The file belongs to another model.")
    loaded = _take(model.encoder, "encoder.", own, fit, state, source, notes + fit.notes)
    return replace(loaded, has_encoder=not loaded.missing)


def _take(
    module: torch.nn.Module,
    place: str,
    own: Mapping[str, torch.Tensor],
    fit: Fit,
    state: Mapping[str, torch.Tensor],
    source: str,
    notes: tuple[str, ...],
) -> LoadedWeights:
    for key, value in fit.tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(f"{source}: {place}{key} holds values that are no numbers. Use another file.")
    module.load_state_dict(fit.tensors, strict=False)
    missing = tuple(key for key in countable(own) if key not in fit.tensors)
    left_over = tuple(key for key in state if key not in fit.used)
    return LoadedWeights(source, fit.counted(), len(countable(own)), left_over, missing, notes)


def _optional(model: SegmentationModel) -> tuple[str, ...]:
    beginnings: tuple[str, ...] = getattr(model.encoder, "optional", ())
    return beginnings


def _encoder_names(model: SegmentationModel, own: Mapping[str, torch.Tensor]) -> tuple[set[str], list[str]]:
    """Names of the model's tensors that are its encoder's, and those of them that a file may not lack."""
    parts = {id(value): key for key, value in model.encoder.state_dict(keep_vars=True).items()}
    encoder = {key: parts[id(value)] for key, value in own.items() if id(value) in parts}
    return set(encoder), [key for key in countable(encoder) if not encoder[key].startswith(_optional(model))]


def _split_encoder(key: str) -> tuple[str, str]:
    """`features.` is no beginning but a part of VGG's names that files leave out."""
    beginning, rest = strip(key, _ENCODER_BEGINNINGS)
    return beginning, rest.removeprefix("features.")


def _own_name(key: str, names: Mapping[str, str]) -> str:
    beginning, rest = strip(key, _MODEL_BEGINNINGS)
    return beginning + own_name(rest, names)


def _of_other_classes(fit: Fit, rest: list[str]) -> set[str]:
    """Tensors outside the encoder whose sizes differ from the file's all in one ratio, that of the numbers of classes."""
    wrong = {key: fit.misshapen[key] for key in rest if key in fit.misshapen}
    if any(len(ours) != len(theirs) for ours, theirs in wrong.values()):
        return set()
    pairs = [(a, b) for shapes in wrong.values() for a, b in zip(*shapes, strict=True) if a != b]
    return set(wrong) if all(a * pairs[0][1] == b * pairs[0][0] for a, b in pairs) else set()


def _refusal(
    fit: Fit, given: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor], what: str, lacking: list[str]
) -> str:
    matched, text = fit.counted(), ""
    if matched and lacking:
        shapes = fit.misshapen.get(lacking[0])
        how = f"has shape {shapes[0]}, in the file {shapes[1]}" if shapes else "is missing"
        text = f" ({lacking[0]} {how})"
    return f"{matched or 'none'} of its {len(given)} tensors fit this {what}, which needs {len(countable(own))}{text}."


def _address(name: str) -> str:
    """Where torchvision downloads weights from. It takes seconds to import, and a run that goes on needs none of it."""
    address: str = importlib.import_module("torchvision.models").get_weight(name).url
    return address


def _file_name(address: str) -> str:
    return address.rpartition("/")[2]


def _wanted(model: SegmentationModel) -> str:
    """The file that torchvision would fetch; empty where the weights are not torchvision's."""
    name = imagenet_of(model)
    return "" if not name or name.startswith(_HUBS) else _file_name(_address(name))


def _download(name: str, address: str) -> dict[str, torch.Tensor]:
    file, before = imagenet_file(name), socket.getdefaulttimeout()
    was_there = file.is_file()
    if was_there:  # torch looks at the hash of what it downloads, not of what was put there
        _check_hash(file, "Delete it, so that it is downloaded again.")
    socket.setdefaulttimeout(_SECONDS_WITHOUT_A_BYTE)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # torch's hub announces downloads on standard output
            state: dict[str, torch.Tensor] = torch.hub.load_state_dict_from_url(
                address, map_location="cpu", progress=False, check_hash=True, weights_only=True
            )
            return state
    except Exception as error:  # torch raises whatever the network, the disk or its parser meet
        if was_there:
            raise CheckpointError(
                f"{file}: damaged ({short(error)}). Delete it, so that it is downloaded again."
            ) from None
        raise CheckpointError(
            f"ImageNet weights for {name} cannot be downloaded ({short(error)}). On a machine with a network get "
            f"{address} and put it at {file}, or use --encoder-weights FILE."
        ) from None
    finally:
        socket.setdefaulttimeout(before)


def _check_hash(file: Path, way_out: str) -> None:
    """Raise CheckpointError unless the SHA-256 begins as the file's name says, which is how torch names its files."""
    match = _HASH.search(file.name)
    if match is None:
        return
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror or error}.") from None
    if not digest.startswith(match[1]):
        found = digest[: len(match[1])]
        raise CheckpointError(f"{file}: damaged (its SHA-256 begins with {found}, not as its name says). {way_out}")
