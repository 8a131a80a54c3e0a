"""Runs that older versions left, a tiny one of each format: they are read, predict, and go on to their end.

Each was stopped in epoch 2 of 2, after step 1 of 2, on the dataset that `dataset` writes again.
"""

import csv
import math
import shutil
from pathlib import Path

import pytest
import torch

from tests.datasets import write_voc
from tests.runs.checkpoints import tiny_state
from tests.training.tiny import log_of
from toolkit import train
from toolkit.runs.checkpoint import Checkpoint
from toolkit.runs.state import STATE_FORMAT, load_state
from toolkit.training.state import State

FORMATS = sorted(Path(__file__).parent.glob("format_*"))
each_format = pytest.mark.parametrize("kept", FORMATS, ids=lambda path: path.name)

MODEL_CLASSES = ("_background_", "disc", "bar")


@pytest.fixture
def run(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run beside its dataset."""
    monkeypatch.chdir(tmp_path)
    write_voc(Path("voc"), train=4, val=1, size=(33, 40))
    return Path(shutil.copytree(kept, "run"))


def test_there_is_one_of_every_format() -> None:
    assert "format_1" in [path.name for path in FORMATS]


@each_format
@pytest.mark.parametrize("name", ["best", "last"])
def test_old_checkpoints_are_read_and_predict(kept: Path, name: str) -> None:
    checkpoint = Checkpoint.load(kept / "weights" / f"{name}.safetensors")
    assert checkpoint.classes.names == MODEL_CLASSES
    assert checkpoint.config.size == checkpoint.preprocess.size == 32
    assert checkpoint.progress["epoch"] == 1
    with torch.inference_mode():
        logits = checkpoint.build()(torch.randn(1, 3, 32, 32))
    assert logits.shape == (1, 3, 32, 32) and logits.isfinite().all()
    assert logits.std() > 0


@each_format
def test_old_states_come_in_the_newest_form(kept: Path) -> None:
    state = load_state(kept / "weights" / "state.pt")
    assert state.keys() >= tiny_state().keys() | vars(State()).keys()  # every field of the loop has its migration
    assert (state["format"], state["epoch"], state["step"], state["best_epoch"]) == (STATE_FORMAT, 1, 1, 1)
    assert state["good_steps"] == 1 and state["world"] == 1 and state["lr_factor"] == 1
    assert state["best_counts"].shape == (3, 3)
    assert state["model"]["head.weight"].shape[0] == 3
    with (kept / "log.csv").open(encoding="utf-8", newline="") as file:
        (logged,) = csv.DictReader(file)
    (row,) = state["rows"]
    found = dict(zip(state["columns"], row, strict=True))
    assert {name: float(text) for name, text in logged.items()}.items() <= found.items()
    assert set(found) >= {"mean_dice", "data_seconds"} | {f"iou.{name}" for name in MODEL_CLASSES}
    assert state["best_score"] == found["miou"]


def test_columns_of_format_1_that_did_not_exist_then_are_no_numbers() -> None:
    state = load_state(Path(__file__).parent / "format_1" / "weights" / "state.pt")
    assert state["columns"][8:10] == ["fw_iou", "mean_dice"]
    assert state["columns"][-2:] == ["data_seconds", "seconds"]
    unknown = [name for name, value in zip(state["columns"], state["rows"][0], strict=True) if math.isnan(value)]
    assert unknown == ["mean_dice", "data_seconds"]


def test_classes_of_format_1_are_numbered_if_its_log_is_gone(tmp_path: Path) -> None:
    kept = Path(__file__).parent / "format_1"
    run = Path(shutil.copytree(kept, tmp_path / "run"))
    (run / "log.csv").unlink()
    columns = load_state(run / "weights" / "state.pt")["columns"]
    assert [name for name in columns if name.startswith("iou.")] == ["iou.0", "iou.1", "iou.2"]


@each_format
def test_old_runs_go_on_to_their_end(kept: Path, run: Path) -> None:
    before = Checkpoint.load(run / "weights" / "last.safetensors").weights["head.weight"]
    report = train(resume=run)
    assert report.epochs == 2
    first, second = log_of(run)
    with (kept / "log.csv").open(encoding="utf-8", newline="") as file:
        (logged,) = csv.DictReader(file)
    assert {name: float(first[name]) for name in logged} == {name: float(text) for name, text in logged.items()}
    assert all(math.isfinite(float(second[name])) for name in ("train_loss", "val_loss", "miou", "seconds"))
    after = Checkpoint.load(run / "weights" / "last.safetensors").weights["head.weight"]
    assert after.isfinite().all() and not torch.equal(before, after)
    done = load_state(run / "weights" / "state.pt")
    assert (done["format"], done["epoch"], done["step"]) == (STATE_FORMAT, 2, 0)
