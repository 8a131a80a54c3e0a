"""The words of a call: from Python, from the command line and in `PredictRequest` they are the same, and all arrive."""

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from toolkit.cli.app import main
from toolkit.errors import SegError
from toolkit.prediction import plan, run
from toolkit.prediction.options import PredictOptions
from toolkit.prediction.request import PredictRequest
from toolkit.prediction.writers.options import WriteOptions

OTHERS: dict[str, Any] = {
    "sources": ("a", "b"),
    "run": Path("runs/train-2"),
    "weights": Path("model.onnx"),
    "out": Path("out"),
    "save": ["ids", "labelme"],
    "options": PredictOptions(scale=2.0, tile=64, overlap=0.5, tta=("flips",), batch=3),
    "writing": WriteOptions(0.25, 4, "mask", 1.5, 20, 0.125),
    "engine": "onnxruntime",
    "precision": "fp16",
    "device": "cuda:1",
    "allow_code": True,
    "beside": True,
    "renew": True,
    "overwrite": True,
    "every": 5,
    "frames": 7,
    "shard": "2/8",
    "resume": True,
}
"""None of them a default, and none equal to another of its type beside it."""

TYPED = (
    "a b --run runs/train-2 --weights model.onnx --out out --save ids,labelme --scale 2 --tile 64 --overlap 0.5 "
    "--tta flips --batch 3 --opacity 0.25 --outline 4 --shapes mask --tolerance 1.5 --min-area 20 --pixel-size 0.125 "
    "--engine onnxruntime --precision fp16 --device cuda:1 --allow-code --beside --renew --overwrite --every 5 "
    "--frames 7 --shard 2/8 --continue"
)


class _Asked(SegError):
    pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[PredictRequest]:
    """What was asked for, last; nothing is done."""
    requests: list[PredictRequest] = []

    def note(request: PredictRequest, **_: object) -> None:
        requests.append(request)
        raise _Asked

    monkeypatch.setattr(run, "carry_out", note)
    monkeypatch.setattr(plan, "make_plan", note)
    return requests


def test_another_value_of_every_word_is_tried() -> None:
    default = PredictRequest()
    assert [field.name for field in fields(PredictRequest)] == list(OTHERS)
    assert not [name for name, value in OTHERS.items() if getattr(default, name) == value]


def test_python_passes_every_word_on(asked: list[PredictRequest]) -> None:
    with pytest.raises(_Asked):
        run.predict()
    with pytest.raises(_Asked):
        run.predict(**OTHERS)
    with pytest.raises(_Asked):
        run.predict(Path("a"))
    assert asked == [PredictRequest(), PredictRequest(**OTHERS), PredictRequest(("a",))]


def test_the_command_line_passes_every_word_on(asked: list[PredictRequest], monkeypatch: pytest.MonkeyPatch) -> None:
    for line in ("a", TYPED):
        monkeypatch.setattr(sys, "argv", ["seg", "predict", *line.split()])
        with pytest.raises(SystemExit):
            main()
    assert asked == [PredictRequest(("a",)), PredictRequest(**OTHERS)]
