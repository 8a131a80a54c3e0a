"""Saving over an older file: whatever happens, the older one or the whole new one is there, and no rest of either."""

import contextlib
import os
import random
import signal
import stat
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runs.checkpoints import tiny_checkpoint, tiny_state
from toolkit.errors import CheckpointError, SegError
from toolkit.runs.checkpoint import Checkpoint
from toolkit.runs.state import load_state, save_state

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits, signals and forks of this kind")

LARGE = {f"layer.{index}": torch.full((300, 300), float(index)) for index in range(3)}
"""Larger than a buffer: torch's zip writer then reports a full disk as a RuntimeError about positions."""
NEW_STATE = tiny_state(epoch=2, model=LARGE)


def save_new_state(path: Path) -> None:
    save_state(path, NEW_STATE)


@cache
def new_checkpoint() -> Checkpoint:
    made = tiny_checkpoint()
    return replace(made, progress={"epoch": 4}, weights={name: tensor + 1 for name, tensor in made.weights.items()})


def save_new_checkpoint(path: Path) -> None:
    new_checkpoint().save(path)


KINDS = {"state.pt": save_new_state, "last.safetensors": save_new_checkpoint}
each_kind = pytest.mark.parametrize("name", KINDS)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with a state and a checkpoint in it."""
    folder = tmp_path / "weights"
    save_state(folder / "state.pt", tiny_state(epoch=1))
    tiny_checkpoint().save(folder / "last.safetensors")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def saved_size(folder: Path, name: str) -> int:
    """How long the new file would be."""
    path = folder.parent / "elsewhere" / name
    KINDS[name](path)
    return path.stat().st_size


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: the kernel refuses the write that does, like on a full disk."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@posix
@each_kind
def test_disk_full_at_any_byte(old: Path, name: str) -> None:
    size, before, rng = saved_size(old, name), contents(old), random.Random(1)
    ends = [0, 1, 100, size - 1, size - 22, size - 500, *(rng.randrange(size) for _ in range(24))]
    for end in ends + [rng.randrange(size - 4000, size) for _ in range(10)]:
        with room_for(end), pytest.raises(SegError) as caught:
            KINDS[name](old / name)
        assert str(caught.value) == (
            f"{old / name}: cannot be written: File too large. Free space or choose another folder."
        )
        assert contents(old) == before, end
    with room_for(size):
        KINDS[name](old / name)
    assert contents(old)[name] != before[name]


@each_kind
def test_disk_full_when_synced(old: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(old)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SegError, match=rf"{name}: cannot be written: No space left on device. Free space"):
        KINDS[name](old / name)
    assert contents(old) == before


@each_kind
def test_the_new_file_is_on_the_disk_before_it_takes_the_name(
    old: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename may reach the disk before the bytes do; without the sync a power cut leaves an empty file."""
    done: list[str] = []
    sync, rename = os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        done.append("folder synced" if is_folder else f"{os.fstat(descriptor).st_size} bytes synced")
        sync(descriptor)

    def noted_rename(source: str, target: Path) -> None:
        done.append(f"renamed to {Path(target).name}")
        rename(source, target)

    size = saved_size(old, name)
    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_rename)
    KINDS[name](old / name)
    assert done == [f"{size} bytes synced", f"renamed to {name}", "folder synced"]


@each_kind
@pytest.mark.parametrize("kind", ["a file in the way", "a folder in the way", "a folder that may not be written"])
def test_where_nothing_can_be_written(old: Path, tmp_path: Path, name: str, kind: str) -> None:
    before, folder = contents(old), tmp_path / "other"
    if kind == "a file in the way":
        folder.touch()
    elif kind == "a folder in the way":
        (folder / name / "deeper").mkdir(parents=True)
    elif os.name == "posix" and os.geteuid() != 0:
        folder.mkdir(mode=0o500)
    elif (folder := Path("/sys/kernel")).is_dir():  # here even root cannot make a file
        pass
    else:
        pytest.skip("root may write everywhere on this system")
    with pytest.raises(SegError) as caught:
        KINDS[name](folder / name)
    assert str(caught.value).startswith(f"{folder / name}: cannot be written: ")
    assert "Free space or choose another folder." in str(caught.value)
    assert contents(old) == before
    if kind == "a folder in the way":
        assert [path.name for path in folder.iterdir()] == [name]


class Unsavable:
    """Raises when it is pickled, after other things were."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


@pytest.mark.parametrize(
    "value", [Unsavable(ValueError("half\nway")), lambda: 1, Unsavable(MemoryError())], ids=["raises", "code", "memory"]
)
def test_what_cannot_be_saved_is_said_and_the_old_state_stays(old: Path, value: Any) -> None:
    before = contents(old)
    with pytest.raises(CheckpointError) as caught:
        save_state(old / "state.pt", tiny_state(scaler={"z": value}))
    text = str(caught.value)
    assert text.startswith(f"{old / 'state.pt'}: cannot be saved (") and "\n" not in text
    assert text.endswith("The previous state is kept.")
    assert contents(old) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=str)
def test_a_second_interrupt_while_saving_leaves_the_old_state(old: Path, error: BaseException) -> None:
    before = contents(old)
    with pytest.raises(type(error)):
        save_state(old / "state.pt", tiny_state(scaler={"z": Unsavable(error)}))
    assert contents(old) == before


def test_weights_that_cannot_be_written_leave_the_old_checkpoint(old: Path) -> None:
    before, made = contents(old), tiny_checkpoint()
    shared = torch.zeros(4)
    for weights in ({"a": shared, "b": shared}, {"a": torch.zeros(2).to_sparse()}):
        with pytest.raises(SegError, match=r"last\.safetensors: cannot be saved"):
            replace(made, weights=weights).save(old / "last.safetensors")
        assert contents(old) == before


def fork(work: Callable[[], None]) -> int:
    """Run `work` in a copy of this process, which has torch loaded already; returns its id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on, of forks beside threads: this one ends soon
        child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work()
        os._exit(1)
    return child


@posix
def test_killed_at_any_moment_the_files_can_be_loaded(old: Path) -> None:
    state, last = old / "state.pt", old / "last.safetensors"
    filled = {f"layer.{index}": torch.full((300, 300), float(index)) for index in range(8)}
    checkpoint = tiny_checkpoint()

    def save_for_ever(first: int, begun: int) -> None:
        for number in range(first, first + 1000):
            save_state(state, tiny_state(epoch=number, model=filled | {"epoch": torch.tensor(number)}))
            replace(checkpoint, progress={"epoch": number}, weights={"epoch": torch.tensor(number)}).save(last)
            os.write(begun, b".")

    rng, epochs, rests = random.Random(5), set(), 0
    for turn in range(1, 17):
        ready, begun = os.pipe()
        child = fork(partial(save_for_ever, 1000 * turn, begun))
        os.read(ready, 1)
        time.sleep(rng.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(begun)
        found, loaded = load_state(state), Checkpoint.load(last)
        assert found["model"]["epoch"] == found["epoch"], "each file is of one piece"
        assert all(torch.equal(found["model"][name], value) for name, value in filled.items())
        assert loaded.weights["epoch"] == loaded.progress["epoch"]
        assert 0 <= found["epoch"] - loaded.progress["epoch"] <= 1, "and they follow one another"
        epochs.add(found["epoch"])
        for path in old.glob(".*.partial"):
            rests += 1
            path.unlink()
        assert sorted(path.name for path in old.iterdir()) == ["last.safetensors", "state.pt"]
    assert len(epochs) == 16
    assert rests > 2, "too few kills hit a save: the times do not fit this machine"
