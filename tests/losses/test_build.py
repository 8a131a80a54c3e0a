"""`--loss name:parameter=value`: what is read, and what is refused."""

import subprocess
import sys

import pytest

from toolkit.errors import UsageError
from toolkit.losses.build import build_loss, parse_loss


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ce", ("ce", {})),
        ("ce:smoothing=0.1", ("ce", {"smoothing": 0.1})),
        ("tversky: alpha = 0.4, beta=6e-1", ("tversky", {"alpha": 0.4, "beta": 0.6})),
    ],
)
def test_reads(text: str, expected: tuple[str, dict[str, float]]) -> None:
    assert parse_loss(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("focl", "loss 'focl' is not known. Did you mean 'focal'?"),
        (
            "focal:gama=3",
            "loss: 'gama' is not a parameter of focal. Did you mean 'gamma'? focal takes gamma (0 to 10, ",
        ),
        ("focal:gamma=-1", "loss: focal:gamma: a number from 0 to 10 is needed, got '-1'."),
        ("focal:gamma=nan", "loss: focal:gamma: a number from 0 to 10 is needed, got 'nan'."),
        ("focal:gamma=two", "loss: focal:gamma: a number from 0 to 10 is needed, got 'two'."),
        ("focal:3", "loss: 'focal:3': after the colon, parameter=value is needed, got '3'. focal takes gamma"),
        ("focal:", "loss: 'focal:': after the colon, parameter=value is needed, got ''."),
        ("focal:gamma=2,gamma=3", "loss: 'focal:gamma=2,gamma=3': gamma is there twice."),
        ("lovasz:gamma=2", "loss: 'gamma' is not a parameter of lovasz. lovasz takes no parameters."),
    ],
)
def test_refuses(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_loss(text)
    assert str(caught.value).startswith(said)


def test_parameters_reach_the_module() -> None:
    assert build_loss("focal:gamma=3", None, 5).gamma == 3
    assert build_loss("ce-dice:dice=2,smoothing=0.1", None, 5).pixels.smoothing == 0.1  # type: ignore[union-attr]


def test_bce_is_refused_for_other_than_two_classes() -> None:
    with pytest.raises(UsageError, match=r"loss: bce is for 2 classes, got 3\. Use ce\."):
        build_loss("bce", None, 3)
    build_loss("bce", None, 2)


def test_texts_are_checked_without_torch() -> None:
    code = "import sys; from toolkit.losses.build import parse_loss; parse_loss('focal:gamma=3'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
