"""The table of engines: what is in it, and what is said of those that are not."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.datasets import NAMES, write_voc
from tests.runs.checkpoints import tiny_checkpoint
from toolkit.engines import ENGINES
from toolkit.engines.base import ModelCard
from toolkit.engines.opening import load_writer
from toolkit.errors import UsageError
from toolkit.exporting import bench as benching
from toolkit.exporting.bench import BenchReport, bench_checkpoint, bench_model
from toolkit.exporting.pictures import invented_pictures
from toolkit.registry import Registry

pytest.importorskip("ncnn")
pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def quick_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those whose files are made in a second."""
    few = Registry("engine", {name: ENGINES.entry(name) for name in ("torch", "openvino", "ncnn")})
    monkeypatch.setattr(benching, "ENGINES", few)


def check(report: BenchReport) -> None:
    first, *rows = report.rows
    assert (first.engine, first.speed, first.agreement) == ("torch, plain", 1.0, 1.0)
    assert [row.speed for row in rows] == sorted((row.speed for row in rows), reverse=True)
    there = {(row.engine, row.precision): row for row in rows}
    for engine in ("torch", "openvino", "ncnn"):
        row = there[engine, "fp32"]
        assert row.agreement > 0.999 and row.seconds > 0 and row.device == "cpu"
        assert (row.conversion is None) == (engine == "torch")
    assert there["ncnn", "bf16"].agreement > 0.9


def test_a_trained_model_on_its_pictures(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc", train=2, val=2)
    path = tmp_path / "best.safetensors"
    tiny_checkpoint(NAMES, dataset=str(dataset)).save(path)
    report = bench_checkpoint(path, size=70, rounds=3, int8=False)
    check(report)
    assert (report.size, report.rounds, report.missing) == (96, 3, {})  # 96: the next multiple of the stride
    assert report.origin == f"val images of {dataset}"
    assert len(report.as_dict()["rows"]) == len(report.rows)


def test_what_cannot_be_had_is_named_and_the_others_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:

    def without_openvino(kind: str) -> object:
        if kind == "openvino":
            raise UsageError("openvino: openvino is needed and not installed.")
        return load_writer(kind)

    monkeypatch.setattr(benching, "load_writer", without_openvino)
    model, card = (
        tiny_checkpoint(NAMES).build(),
        ModelCard(tiny_checkpoint(NAMES).classes, tiny_checkpoint(NAMES).preprocess, "unet"),
    )
    report = benching.bench(model, card, invented_pictures(1), size=32, int8=False)
    assert report.missing == {"openvino": "openvino: openvino is needed and not installed."}
    assert {"torch", "ncnn"} <= {row.engine for row in report.rows}


def test_a_model_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    few = Registry("engine", {"torch": replace(ENGINES.entry("torch"))})
    monkeypatch.setattr(benching, "ENGINES", few)
    report = bench_model("u2netp", 5, size=32, rounds=1, int8=False)
    assert (report.model, report.size, report.origin) == ("u2netp", 32, "invented pictures")
    with pytest.raises(UsageError, match="u2netp"):
        bench_model("u2netq", 5)
