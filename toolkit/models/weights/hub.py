"""Encoder weights that timm and segmentation-models-pytorch keep on the Hugging Face hub; read as safetensors only."""

import importlib
import logging
import ssl
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from toolkit.errors import CheckpointError, UsageError
from toolkit.models.weights.read import short

_FILE = "model.safetensors"
_SECONDS_TO_ANSWER = 10.0


def fetch(source: str) -> tuple[str, dict[str, torch.Tensor]]:
    """`timm:NAME` or `smp:ENCODER` -> (where the weights are from, state dict with the encoder's own names).

    Looked for in Hugging Face's cache (below HF_HOME), then as a single file in torch's (below TORCH_HOME, see
    `single_file`), then downloaded into the former. Raises CheckpointError with the file to fetch and where to put it
    if they cannot be had, UsageError without the extra `smp`.
    """
    library, _, name = source.partition(":")
    if library == "smp" and not name.startswith("tu-"):
        return _smp(name)
    config = _import("timm").get_pretrained_cfg(name.removeprefix("tu-"))
    if not (config and config.hf_hub_id):
        raise CheckpointError(f"{source}: there are no weights for it on the hub. Use --encoder-weights FILE.")
    if config.hf_hub_filename not in (None, _FILE):
        raise CheckpointError(f"{source}: its weights are not a {_FILE}. Use --encoder-weights FILE.")
    path = _file(source, config.hf_hub_id, None)
    state = _read(path)
    return config.hf_hub_id, state if library == "timm" else _through_timm(name.removeprefix("tu-"), state, path)


def single_file(repository: str) -> Path:
    """Where a file that was fetched by hand is looked for: beside torchvision's weights (below TORCH_HOME)."""
    return Path(torch.hub.get_dir(), "checkpoints", f"{repository.replace('/', '--')}.safetensors")


def _smp(name: str) -> tuple[str, dict[str, torch.Tensor]]:
    encoders: Any = _import("segmentation_models_pytorch.encoders")
    settings = encoders.encoders[name]["pretrained_settings"]["imagenet"]
    path = _file(f"smp:{name}", settings["repo_id"], settings["revision"])
    state = _read(path)

    def filled() -> Any:
        encoder = encoders.get_encoder(name, weights=None)
        encoder.load_state_dict(state)  # some encoders rename what their files hold
        return encoder

    return settings["repo_id"], _state_of(filled, path)


def _through_timm(name: str, state: dict[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """The state as the library's encoder has it: timm converts names and shapes while it fills a model."""
    encoders: Any = _import("segmentation_models_pytorch.encoders")
    overlay = {"state_dict": state}

    def filled() -> Any:
        try:
            return encoders.TimmUniversalEncoder(name, pretrained_cfg_overlay=overlay)
        except ValueError:  # no pyramid of features: a vision transformer, as DPT takes them
            return encoders.TimmViTEncoder(name, pretrained_cfg_overlay=overlay)

    return _state_of(filled, path)


def _state_of(filled: Callable[[], Any], path: Path) -> dict[str, torch.Tensor]:
    """The state dict of an encoder built from a file, with torch's random numbers left where they were."""
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            state: dict[str, torch.Tensor] = filled().state_dict()
    except Exception as error:  # each encoder has its own way of noticing that a file is not its own
        raise _damaged(path, error) from None
    return state


def _file(source: str, repository: str, revision: str | None) -> Path:
    """The file on this machine, downloaded if need be."""
    hub: Any = _import("huggingface_hub")
    errors: Any = _import("huggingface_hub.errors")
    try:
        return Path(hub.hf_hub_download(repository, _FILE, revision=revision, local_files_only=True))
    except errors.LocalEntryNotFoundError:
        pass
    own = single_file(repository)
    if own.is_file():
        return own
    address = hub.hf_hub_url(repository, _FILE, revision=revision)
    try:
        _answers(address)
        with _silent():
            return Path(hub.hf_hub_download(repository, _FILE, revision=revision))
    except Exception as error:  # the library, its transport and the disk each raise their own
        raise CheckpointError(
            f"Weights for {source} cannot be downloaded ({short(error)}). On a machine with a network get {address} "
            f"and put it at {own}, or use --encoder-weights FILE."
        ) from None


def _answers(address: str) -> None:
    """Raise if there is no network: the library itself would try for half a minute, aloud."""
    if importlib.import_module("huggingface_hub.constants").HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - the library's own address, https
    try:
        urllib.request.urlopen(request, timeout=_SECONDS_TO_ANSWER).close()  # noqa: S310
    except urllib.error.HTTPError:
        pass  # an answer; the library knows what to make of it
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLError):  # the library brings its own certificates
            raise


@contextmanager
def _silent() -> Iterator[None]:
    """Without the hub library's progress bars and its log of attempts."""
    tools: Any = importlib.import_module("huggingface_hub.utils")
    log = logging.getLogger("huggingface_hub")
    level, had_bars = log.level, not tools.are_progress_bars_disabled()
    log.setLevel(logging.CRITICAL)
    tools.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
        if had_bars:
            tools.enable_progress_bars()


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        return dict(load_file(path))
    except Exception as error:  # safetensors' own errors, and the system's
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path}: damaged ({short(error)}). Delete it, so that it is downloaded again.")


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"these weights need {error.name}: pip install 'seg-toolkit[smp]'") from None
