"""HRNet on timm's encoder."""

import importlib
import sys

import pytest
import timm
import torch

from toolkit.errors import UsageError
from toolkit.models.base import ModelSpec
from toolkit.models.hrnet import build

slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("encoder", "published"), [("hrnet_w18_small_v2", 3.9e6), ("hrnet_w48", 65.8e6)], ids=["w18-small-v2", "w48"]
)
def test_parameters_are_as_many_as_published_for_cityscapes(encoder: str, published: float) -> None:
    with torch.device("meta"):
        model = build(ModelSpec(19), encoder)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(published, abs=0.06e6)


@pytest.mark.parametrize(
    "encoder", ["hrnet_w18_small_v2", pytest.param("hrnet_w18", marks=slow), pytest.param("hrnet_w48", marks=slow)]
)
def test_encoder_has_the_names_and_shapes_of_the_weights_it_says(encoder: str) -> None:
    with torch.device("meta"):
        own = build(ModelSpec(2), encoder).encoder
        library, _, name = str(own.imagenet).partition(":")
        whole = timm.create_model(name).state_dict()
    assert library == "timm" and timm.is_model_pretrained(name) and name.startswith(f"{encoder}.")
    assert {key: value.shape for key, value in own.state_dict().items()}.items() <= {
        key: value.shape for key, value in whole.items()
    }.items()


def test_four_branches_are_joined_at_a_quarter_of_the_images_size() -> None:
    with torch.device("meta"):
        model = build(ModelSpec(5), "hrnet_w18_small_v2")
        branches = model.encoder(torch.empty(1, 3, 64, 96))
        seen: list[torch.Tensor] = []
        model.join.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        model(torch.empty(1, 3, 64, 96))
    assert [tuple(b.shape[1:]) for b in branches] == [(18, 16, 24), (36, 8, 12), (72, 4, 6), (144, 2, 3)]
    assert seen[0].shape == (1, 18 + 36 + 72 + 144, 16, 24)


def test_untrained_logits_are_of_moderate_size() -> None:
    """32 residual blocks that each double the variance would give ten millions."""
    torch.manual_seed(0)
    with torch.inference_mode():
        logits = build(ModelSpec(3)).eval()(torch.randn(1, 3, 64, 64))
    assert 1e-4 < logits.abs().max() < 100


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "toolkit.models.hrnet")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"^hrnet needs timm: pip install 'seg-toolkit\[smp\]'$"):
        importlib.import_module("toolkit.models.hrnet")
