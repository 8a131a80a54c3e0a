"""Folders of runs: numbering, finding the newest, never overwriting."""

from pathlib import Path

import pytest

from toolkit.errors import DataError, UsageError
from toolkit.runs.folder import RunFolder, numbered_runs


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(name: str, *files: str) -> None:
    weights = Path("runs", name, "weights")
    weights.mkdir(parents=True)
    for file in files:
        (weights / file).touch()


def test_newest_is_the_highest_number_that_has_a_best_checkpoint() -> None:
    make("train-2", "best.safetensors", "state.pt")
    make("train-10", "best.safetensors")
    make("train-11", "state.pt")
    Path("runs/train-11/config.yaml").touch()
    make("train-12")
    make("train-x", "best.safetensors")
    make("predict-99", "best.safetensors")
    assert RunFolder.newest().root == Path("runs/train-10")
    assert RunFolder.newest(to_resume=True).root == Path("runs/train-11")
    assert numbered_runs("train") == [Path("runs", f"train-{number}") for number in (12, 11, 10, 2)]


@pytest.mark.parametrize(("to_resume", "said"), [(False, "no trained model in runs"), (True, "no run to resume")])
def test_without_a_run_the_way_out_is_said(to_resume: bool, said: str) -> None:
    with pytest.raises(DataError, match=rf"{said}.*seg train"):
        RunFolder.newest(to_resume=to_resume)
    make("train-1")  # begun, but not one epoch is finished
    with pytest.raises(DataError, match=rf"{said}.*seg train"):
        RunFolder.newest(to_resume=to_resume)


def test_new_runs_are_numbered_after_the_highest_one() -> None:
    assert RunFolder.create(None).root == Path("runs/train-1")
    make("train-7")
    assert RunFolder.create(None).root == Path("runs/train-8")
    assert RunFolder.create(None).root == Path("runs/train-9")


def test_a_chosen_folder_must_be_new_or_empty() -> None:
    Path("empty").mkdir()
    assert RunFolder.create(Path("empty")).root == Path("empty")
    assert RunFolder.create(Path("new/deep")).root.is_dir()
    Path("full").mkdir()
    Path("full/photo.jpg").touch()
    with pytest.raises(UsageError, match="full: exists and is not an empty folder"):
        RunFolder.create(Path("full"))
    assert [path.name for path in Path("full").iterdir()] == ["photo.jpg"]


def test_only_a_folder_with_a_config_is_a_run() -> None:
    make("train-1")
    with pytest.raises(DataError, match="not a training run"):
        RunFolder.existing(Path("runs/train-1"))
    with pytest.raises(DataError, match="runs/train-9: not a training run: there is no such folder"):
        RunFolder.existing(Path("runs/train-9"))
    Path("runs/train-1/config.yaml").touch()
    assert RunFolder.existing(Path("runs/train-1")).best == Path("runs/train-1/weights/best.safetensors")


def test_log_is_written_whole_each_time() -> None:
    run = RunFolder.create(None)
    run.write_log(["epoch", "iou.a,b"], [[1, 0.5], [2, float("nan")]])
    assert run.log.read_bytes() == b'epoch,"iou.a,b"\n1,0.5\n2,nan\n'
    run.write_log(["epoch"], [])
    assert run.log.read_bytes() == b"epoch\n"
