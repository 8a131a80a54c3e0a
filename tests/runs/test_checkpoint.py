"""Checkpoints and states: written and read back, refused when they cannot be trusted."""

import errno
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.runs.checkpoints import saved_checkpoint, tiny_checkpoint
from toolkit.errors import CheckpointError, SegError
from toolkit.runs.checkpoint import Checkpoint, load_state, save_state


def test_what_is_saved_comes_back_and_gives_the_same_logits(tmp_path: Path) -> None:
    made = tiny_checkpoint()
    path = tmp_path / "weights" / "best.safetensors"
    made.save(path)
    found = Checkpoint.load(path)
    assert (found.config, found.spec, found.classes, found.preprocess, found.progress) == (
        made.config,
        made.spec,
        made.classes,
        made.preprocess,
        made.progress,
    )
    images = torch.randn(1, 3, 50, 40)
    model = found.build()
    assert not model.training
    with torch.inference_mode():
        assert torch.equal(model(images), made.build()(images))
    assert [file.name for file in path.parent.iterdir()] == ["best.safetensors"]


def test_equal_checkpoints_are_equal_bytes(tmp_path: Path) -> None:
    one, two = (saved_checkpoint(tmp_path / name) for name in ("a.safetensors", "b.safetensors"))
    assert one.read_bytes() == two.read_bytes()


def test_other_programs_can_read_weights_and_description(tmp_path: Path) -> None:
    path = saved_checkpoint(tmp_path / "c.safetensors")
    with safe_open(path, framework="numpy") as file:
        about = json.loads(file.metadata()["seg"])
        assert file.get_tensor("head.bias").shape == (3,)
    assert about["classes"] == ["_background_", "disc", "bar"]
    assert about["preprocess"]["size"] == 64


def rewritten(path: Path, **changes: Any) -> Path:
    """The checkpoint with parts of its description replaced."""
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["seg"]) | changes
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    save_file(tensors, path, {"seg": json.dumps(about)})
    return path


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.999])
def test_truncated_file_is_refused_by_name(tmp_path: Path, share: float) -> None:
    path = saved_checkpoint(tmp_path / "cut.safetensors")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.load(path)
    assert str(caught.value).startswith(f"{path}: not a checkpoint or a damaged one")


def test_weights_of_another_program_are_refused_as_such(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"conv.weight": torch.zeros(2, 2)}, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match="was not written by seg: it names no model and no classes") as caught:
        Checkpoint.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("number", [2, 0, None])
def test_another_format_is_refused_with_both_numbers(tmp_path: Path, number: int | None) -> None:
    path = rewritten(saved_checkpoint(tmp_path / "new.safetensors"), format=number)
    with pytest.raises(CheckpointError, match=rf"new\.safetensors: has format {number}, this version reads 1"):
        Checkpoint.load(path)


@pytest.mark.parametrize(
    "damage",
    [
        {"preprocess": {}},
        {"spec": {"colours": 3}},
        {"preprocess": {"size": "x"}},
        {"config": {"epoch": 3}},
        {"config": []},
        {"classes": ["a", "a"]},
    ],
    ids=["preprocess", "spec", "size", "unknown option", "no options", "classes"],
)
def test_damaged_description_is_refused_by_name(tmp_path: Path, damage: dict[str, Any]) -> None:
    path = rewritten(saved_checkpoint(tmp_path / "odd.safetensors"), **damage)
    with pytest.raises(CheckpointError, match=r"odd\.safetensors: its description is damaged"):
        Checkpoint.load(path)


def test_description_that_is_no_json_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"seg": "{"})
    with pytest.raises(CheckpointError, match=r"odd\.safetensors: its description is damaged"):
        Checkpoint.load(path)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = rewritten(saved_checkpoint(tmp_path / "c.safetensors"), spec={"classes": 7, "in_channels": 3, "width": 4})
    with pytest.raises(CheckpointError, match="do not fit unet: size mismatch for head"):
        Checkpoint.load(path).build()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: there is no such checkpoint"):
        Checkpoint.load(tmp_path / "absent.safetensors")


def test_failing_write_leaves_the_old_checkpoint_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved_checkpoint(tmp_path / "last.safetensors")
    state = tmp_path / "state.pt"
    save_state(state, {"format": 1, "epoch": 1})
    before = path.read_bytes(), state.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SegError, match=r"last\.safetensors: cannot be written: No space left on device"):
        tiny_checkpoint(names=("a", "b")).save(path)
    with pytest.raises(SegError, match=r"state\.pt: cannot be written"):
        save_state(state, {"format": 1, "epoch": 2})
    assert (path.read_bytes(), state.read_bytes()) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last.safetensors", "state.pt"]


def test_state_comes_back_with_tensors_and_plain_values(tmp_path: Path) -> None:
    state = {"format": 1, "rows": [[1, 0.5, float("nan")]], "best": None, "model": {"w": torch.arange(3.0)}}
    save_state(tmp_path / "state.pt", state)
    found = load_state(tmp_path / "state.pt")
    assert torch.equal(found["model"]["w"], torch.arange(3.0))
    assert found["rows"][0][:2] == [1, 0.5] and found["best"] is None


class Malice:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def test_state_with_code_in_it_is_refused_without_running_it(tmp_path: Path) -> None:
    path, trace = tmp_path / "state.pt", tmp_path / "executed"
    torch.save({"format": 1, "model": Malice(trace)}, path)
    with pytest.raises(CheckpointError, match=r"state\.pt: cannot be read"):
        load_state(path)
    path.write_bytes(pickle.dumps({"format": 1, "model": Malice(trace)}))
    with pytest.raises(CheckpointError, match=r"state\.pt: cannot be read"):
        load_state(path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"half of a st"], ids=["empty", "text"])
def test_damaged_state_is_named_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.pt: cannot be read .*Start the run anew"):
        load_state(path)


def test_state_of_another_version_or_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    with pytest.raises(CheckpointError, match="there is no saved state"):
        load_state(path)
    for content in ({"format": 2}, {"epoch": 1}, torch.zeros(2)):
        torch.save(content, path)
        with pytest.raises(CheckpointError, match="not a state of this version"):
            load_state(path)
