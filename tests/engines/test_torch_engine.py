import copy

import pytest
import torch

from tests.engines.small import SIZES, card, pictures, small_model, truth
from toolkit.engines.torch_engine import TorchEngine
from toolkit.errors import UsageError


@pytest.mark.parametrize("size", SIZES)
def test_full_precision_is_what_the_model_gives(size: tuple[int, int, int]) -> None:
    engine = TorchEngine(copy.deepcopy(small_model()), card(), precision="fp32", device="cpu")
    images = pictures(*size)
    logits = engine.logits(images)
    assert logits.dtype == torch.float32
    assert torch.allclose(logits, truth(images), atol=1e-4)


def test_bfloat16_is_what_autocast_gives() -> None:
    engine = TorchEngine(copy.deepcopy(small_model()), card(), precision="bf16", device="cpu")
    images = pictures(2, 24, 32)
    batch = card().preprocess.normalise(images)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = copy.deepcopy(small_model()).to(memory_format=torch.channels_last)(batch)
    logits = engine.logits(images)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, expected.float())
    assert not torch.equal(logits, truth(images))  # else nothing was computed in 16 bits


def test_a_foreign_models_weights_stay_in_full_precision() -> None:
    """Its code may switch autocast off for a part, which then needs them so."""

    class Careful(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 3, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", enabled=False):
                logits: torch.Tensor = self.convolution(images)
            return logits

    about = card()
    own = type(about)(about.classes, type(about.preprocess)(stride=8), "py:mine:build")
    engine = TorchEngine(Careful(), own, precision="bf16", device="cpu")  # type: ignore[arg-type]
    assert engine.logits(pictures(1, 8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(("precision", "says"), [("int8", "seg export --int8"), ("fp16", "fp32"), ("fp8", "bf16")])
def test_what_a_cpu_cannot_compute_in_is_refused(precision: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        TorchEngine(copy.deepcopy(small_model()), card(), precision=precision, device="cpu")


def test_an_absent_device_is_refused() -> None:
    with pytest.raises(UsageError, match="cuda:77"):
        TorchEngine(copy.deepcopy(small_model()), card(), device="cuda:77")
