"""Weights of the Hugging Face hub, without a network: its cache, a file put by hand, and what is said otherwise."""

import sys
import urllib.error
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file
from segmentation_models_pytorch.encoders import get_encoder

from toolkit.errors import CheckpointError, UsageError
from toolkit.models.weights import hub

State = dict[str, torch.Tensor]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """An empty cache and no network; what the hub library is asked for is noted."""
    calls: list[dict[str, Any]] = []

    def download(repository: str, name: str, **options: Any) -> str:
        calls.append({"repository": repository, "name": name, **options})
        raise LocalEntryNotFoundError("not here")

    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    return calls


def put_by_hand(repository: str, state: State) -> Path:
    path = hub.single_file(repository)
    path.parent.mkdir(parents=True)
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path


def test_file_in_the_hubs_cache_is_read_without_asking_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"conv1.weight": torch.arange(3.0)}, file)

    def cached(repository: str, name: str, *, revision: str | None, local_files_only: bool = False) -> str:
        assert (repository, name, revision, local_files_only) == (
            "timm/hrnet_w48.ms_in1k",
            "model.safetensors",
            None,
            True,
        )
        return str(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", cached)
    where, state = hub.fetch("timm:hrnet_w48.ms_in1k")
    assert where == "timm/hrnet_w48.ms_in1k"
    assert state["conv1.weight"].tolist() == [0, 1, 2]
    assert capsys.readouterr().out == ""


def test_smp_encoders_come_with_their_own_names(asked: list[dict[str, Any]]) -> None:
    """The file also holds a classifier, which the encoder has not."""
    torch.manual_seed(0)
    whole = timm.create_model("resnet18").state_dict()
    put_by_hand("smp-hub/resnet18.imagenet", whole)
    where, state = hub.fetch("smp:resnet18")
    assert where == "smp-hub/resnet18.imagenet"
    assert state.keys() == get_encoder("resnet18", weights=None).state_dict().keys()
    assert all(torch.equal(value, whole[key]) for key, value in state.items())
    assert len(asked[0]["revision"]) == 40  # the library names a commit: the file cannot change under it


def test_timms_encoders_in_smp_come_with_the_names_that_smp_gives_them(asked: list[dict[str, Any]]) -> None:
    torch.manual_seed(0)
    whole = timm.create_model("resnet10t").state_dict()
    put_by_hand("timm/resnet10t.c3_in1k", whole)
    _, state = hub.fetch("smp:tu-resnet10t")
    assert state.keys() == get_encoder("tu-resnet10t", weights=None).state_dict().keys()
    assert torch.equal(state["model.layer4.0.conv1.weight"], whole["layer4.0.conv1.weight"])


def test_random_numbers_go_on_where_they_were(asked: list[dict[str, Any]]) -> None:
    put_by_hand("smp-hub/resnet18.imagenet", get_encoder("resnet18", weights=None).state_dict())
    before = torch.random.get_rng_state()
    hub.fetch("smp:resnet18")
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("source", "repository"),
    [("timm:hrnet_w18.ms_aug_in1k", "timm/hrnet_w18.ms_aug_in1k"), ("smp:mit_b0", "smp-hub/mit_b0.imagenet")],
)
def test_offline_the_file_and_its_place_are_named(source: str, repository: str, asked: list[dict[str, Any]]) -> None:
    with pytest.raises(CheckpointError) as caught:
        hub.fetch(source)
    text = str(caught.value)
    assert text.startswith(f"Weights for {source} cannot be downloaded (Name or service not known). ")
    assert f"/{repository}/resolve/" in text and "/model.safetensors and put it at" in text
    assert str(hub.single_file(repository)) in text and "--encoder-weights FILE" in text
    assert [call.get("local_files_only") for call in asked] == [True]  # its own half a minute of attempts is spared


def test_damaged_file_is_named(asked: list[dict[str, Any]]) -> None:
    path = put_by_hand("smp-hub/resnet18.imagenet", {"conv1.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=rf"^{path}: damaged \(.*Delete it"):
        hub.fetch("smp:resnet18")
    path.write_bytes(b"no safetensors")
    with pytest.raises(CheckpointError, match=rf"^{path}: damaged \(.*Delete it"):
        hub.fetch("smp:resnet18")


def test_model_without_weights_is_said() -> None:
    with pytest.raises(CheckpointError, match=r"^timm:nonsense: there are no weights for it on the hub"):
        hub.fetch("timm:nonsense")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"these weights need timm: pip install 'seg-toolkit\[smp\]'"):
        hub.fetch("timm:hrnet_w18.ms_aug_in1k")
