"""What passes for the same network, and what does not."""

from collections.abc import Callable

import pytest
import torch

from tests.engines.small import card, small_model
from toolkit.engines.agreement import require_same
from toolkit.engines.network import Network
from toolkit.errors import RunError

Change = Callable[[torch.Tensor], torch.Tensor]


def compare(change: Change) -> None:
    model, about = small_model(), card()
    network = Network(model, about).eval()

    def changed(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return change(network(images).clone())

    require_same("onnx", model, about, changed)


def border(logits: torch.Tensor) -> torch.Tensor:
    logits[:, :, 0] *= 1.1
    return logits


def second_picture(logits: torch.Tensor) -> torch.Tensor:
    logits[1:] = logits[:1]
    return logits


def no_number(logits: torch.Tensor) -> torch.Tensor:
    logits[:, :, ::4, ::4] = torch.nan
    return logits


@pytest.mark.parametrize("change", [border, second_picture, no_number])
def test_a_network_that_is_wrong_is_refused(change: Change) -> None:
    with pytest.raises(RunError, match=r"onnx: .* gives other logits than the model\. Choose another format\."):
        compare(change)


def test_another_size_is_refused() -> None:
    with pytest.raises(RunError, match="gives logits of shape"):
        compare(lambda logits: logits[:, :, 1:])


def test_a_few_pictures_in_which_a_tie_went_the_other_way_are_not() -> None:
    calls = iter(range(100))

    def now_and_then(logits: torch.Tensor) -> torch.Tensor:
        if next(calls) % 3 == 0:
            logits[-1] *= 1.1
        return logits

    compare(now_and_then)
