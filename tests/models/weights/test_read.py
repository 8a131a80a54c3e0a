"""Files of weights as they lie on disks, sound and damaged."""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from toolkit.errors import CheckpointError
from toolkit.models.weights.read import find_file, read_state

STATE = {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.tensor([1.5, -2.0])}


def write(path: Path) -> None:
    if path.suffix == ".safetensors":
        save_file(STATE, path)
    elif path.suffix == ".npz":
        arrays: dict[str, Any] = {key: value.numpy() for key, value in STATE.items()}
        np.savez(path, **arrays, note=np.array("text"))
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=path.suffix != ".tar")


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.tar", "w.safetensors", "w.npz"])
def test_each_kind_gives_its_tensors_by_name(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    state = read_state(tmp_path / name)
    assert sorted(state) == sorted(STATE)
    assert all(torch.equal(state[key], value) for key, value in STATE.items())


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
def test_what_trainers_wrap_around_is_taken_off(tmp_path: Path, wrapper: str) -> None:
    torch.save({wrapper: STATE, "epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "w.pth")
    assert sorted(read_state(tmp_path / "w.pth")) == sorted(STATE)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors", "w.npz", "w.bin"])
@pytest.mark.parametrize(
    "content", [b"", b"not weights " * 50, b"PK\x03\x04" + b"\0" * 90], ids=["empty", "text", "zip"]
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_state(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_bit_that_turned_is_found(tmp_path: Path) -> None:
    """torch reads such a file as if nothing were wrong."""
    path = tmp_path / "w.pt"
    torch.save({"a": torch.full((1000,), 1.0)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(np.full(1000, 1.0, np.float32).tobytes()) + 2002] ^= 0x10
    path.write_bytes(content)
    assert not torch.load(path, weights_only=True)["a"].eq(1).all()
    with pytest.raises(CheckpointError, match=r"w\.pt: a damaged file \(.*/data/0 is damaged\)"):
        read_state(path)


def test_a_file_that_unpacks_to_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    sound, bomb = tmp_path / "sound.pt", tmp_path / "bomb.pt"
    torch.save({"a": torch.zeros(1_000_000)}, sound)
    with zipfile.ZipFile(sound) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    assert bomb.stat().st_size < 10_000
    with pytest.raises(CheckpointError, match=r"bomb\.pt: a damaged file \(holds compressed parts"):
        read_state(bomb)


def test_small_archives_of_much_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(3_000_000, np.float32))
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(10_000_000))
    for name in ("bomb.npz", "bomb.keras"):
        with pytest.raises(CheckpointError, match=rf"{name}: unpacks to far more than it holds"):
            read_state(tmp_path / name)


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(CheckpointError, match=r"w\.npz: not an \.npz file of plain arrays"):
        read_state(tmp_path / "w.npz")


def test_a_file_without_names_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"w\.pt: holds no weights by name"):
        read_state(tmp_path / "w.pt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pt", tmp_path / ("x" * 300)):
        with pytest.raises(CheckpointError) as caught:
            read_state(path)
        assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match=r"pipe: is no ordinary file"):
        read_state(tmp_path / "pipe")


def test_a_folder_that_leaves_a_choice_says_what_is_there(tmp_path: Path) -> None:
    for name in ("one.pt", "two.safetensors", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=r"x\.pth or a single .* it holds one\.pt, two\.safetensors\. Name"):
        find_file(tmp_path, lambda: "x.pth")
    with pytest.raises(CheckpointError, match=r": a single file of weights is needed"):
        find_file(tmp_path)


def test_a_folder_without_weights_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="it holds nothing"):
        find_file(tmp_path)
    for index in range(12):
        (tmp_path / f"{index:02}.txt").touch()
    with pytest.raises(CheckpointError, match=r"it holds 00\.txt, .*, 07\.txt, \.\.\.\."):
        find_file(tmp_path)


def test_a_whole_model_is_not_unpickled_and_the_way_out_is_said(tmp_path: Path) -> None:
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / "model.pth")
    with pytest.raises(CheckpointError) as caught:
        read_state(tmp_path / "model.pth")
    assert "holds more than tensors" in str(caught.value) and "state_dict()" in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(("content", "reason"), [(b"", "is empty"), (b"hello", "not a torch file of plain weights")])
def test_what_is_no_torch_file_is_said_plainly(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_state(path)
    assert str(caught.value) == f"{path}: {reason}."
