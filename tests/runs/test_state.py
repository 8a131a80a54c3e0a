"""The state of a run at rest: what comes back, and what is refused."""

import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runs.checkpoints import tiny_state, write_malice
from toolkit.errors import CheckpointError
from toolkit.runs.state import STATE_FORMAT, load_state, save_state


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.pt"


def refused(path: Path, said: str = "") -> str:
    """The message with which a state is refused: its name first, at most two lines."""
    with pytest.raises(CheckpointError) as caught:
        load_state(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and text.count("\n") < 2, text
    assert said in text
    return text


def test_state_comes_back_with_tensors_and_plain_values(path: Path) -> None:
    saved = tiny_state()
    save_state(path, saved)
    assert "format" not in saved  # what is handed in is not changed
    found = load_state(path)
    assert found.keys() == saved.keys() | {"format"}
    assert found["format"] == STATE_FORMAT
    assert repr(found["rows"]) == repr(saved["rows"])
    for name in saved.keys() - {"rows", "model", "best_counts"}:
        assert found[name] == saved[name], name
    assert torch.equal(found["best_counts"], saved["best_counts"]) and found["best_counts"].dtype == torch.int64
    assert found["model"].keys() == saved["model"].keys()
    assert all(torch.equal(found["model"][key], value) for key, value in saved["model"].items())


@pytest.mark.parametrize("writer", ["pickle", "torch", "torch, old"])
def test_code_is_refused_without_running_it(path: Path, tmp_path: Path, writer: str) -> None:
    write_malice(path, tiny_state(format=STATE_FORMAT), tmp_path / "executed", writer)
    refused(path, "cannot be read")
    assert not (tmp_path / "executed").exists()


class Eval:
    """Names a function that a restricted unpickler must not call."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> Any:
        return eval, (self.code,)


def test_code_in_a_member_added_by_hand_is_refused(path: Path, tmp_path: Path) -> None:
    save_state(path, tiny_state())
    trace = tmp_path / "executed"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (pickled,) = (name for name in parts if name.endswith("data.pkl"))
    parts[pickled] = pickle.dumps({"format": STATE_FORMAT, "model": Eval(f"open({str(trace)!r}, 'w')")}, protocol=2)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    refused(path, "cannot be read")
    assert not trace.exists()


def test_truncated_anywhere(path: Path) -> None:
    save_state(path, tiny_state())
    data = path.read_bytes()
    for end in [0, 1, 3, 30, *range(64, len(data), len(data) // 25), len(data) - 22, len(data) - 1]:
        path.write_bytes(data[:end])
        refused(path, "Start the run anew.")


def equal(one: Any, two: Any) -> bool:
    """Of states, to the last bit; repr of floats is exact."""
    if isinstance(one, torch.Tensor):
        return isinstance(two, torch.Tensor) and one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, dict):
        return isinstance(two, dict) and one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    return repr(one) == repr(two)


def test_a_bit_that_turned_anywhere_is_noticed_or_harmless(path: Path) -> None:
    save_state(path, tiny_state())
    whole, data = load_state(path), path.read_bytes()
    directory = data.index(b"PK\x01\x02")
    rng = random.Random(3)
    places = [rng.randrange(directory, len(data)) for _ in range(150)] + [rng.randrange(directory) for _ in range(150)]
    noticed = 0
    for place in places:
        worn = bytearray(data)
        worn[place] ^= 1 << rng.randrange(8)
        path.write_bytes(worn)
        try:
            found = load_state(path)
        except CheckpointError as error:
            assert str(error).startswith(f"{path}: ")
            noticed += 1
        else:
            assert equal(found, whole), place
    assert noticed > 150


def test_a_changed_weight_is_noticed_which_torch_does_not_do(path: Path) -> None:
    save_state(path, tiny_state())
    data = bytearray(path.read_bytes())
    place = data.index(tiny_state()["model"]["layer.3"].numpy().tobytes())
    data[place + 2] ^= 64
    path.write_bytes(data)
    torch.load(path, weights_only=True)
    refused(path, "is damaged). Start the run anew.")


def test_a_tensor_marked_as_a_folder_is_noticed(path: Path) -> None:
    """torch would fill it with whatever the memory holds."""
    save_state(path, tiny_state())
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 38] |= 16
    path.write_bytes(data)
    refused(path, "holds compressed parts or folders")


def test_a_small_file_that_unpacks_to_much_is_refused_unread(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))
    assert path.stat().st_size < 100_000
    refused(path, "holds compressed parts")


@pytest.mark.parametrize("content", [b"", b"\0", b"half of a st", bytes(1000)], ids=["empty", "zero", "text", "zeros"])
def test_damaged_state_is_named_with_the_way_out(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refused(path, "Start the run anew.")


def test_what_is_no_file_is_refused_at_once(path: Path, tmp_path: Path) -> None:
    refused(path, "there is no saved state, without which a run cannot go on. Start it anew.")
    path.mkdir()
    refused(path, "is no ordinary file")
    os.mkfifo(tmp_path / "pipe.pt")
    refused(tmp_path / "pipe.pt", "is no ordinary file")


@pytest.mark.parametrize(
    "content",
    [{"epoch": 1}, {"format": None}, {"format": "2"}, {"format": 0}, {"state_dict": {}}, [1], torch.zeros(2)],
    ids=str,
)
def test_files_of_other_programs_are_called_so(path: Path, content: Any) -> None:
    torch.save(content, path)
    refused(path, "was not written by seg as the state of a run")


def test_a_newer_format_asks_for_an_update(path: Path) -> None:
    torch.save(tiny_state(format=STATE_FORMAT + 1, model=None), path)
    text = refused(path, "Update seg-toolkit.")
    assert f"has format {STATE_FORMAT + 1}, this version reads {STATE_FORMAT}" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epoch": "1"}, "epoch is str"),
        ({"step": None}, "step is NoneType"),
        ({"world": True}, "world is bool"),
        ({"model": None}, "model is NoneType"),
        ({"model": {"w": 1}}, "model holds more than tensors"),
        ({"ema": {"w": [1]}}, "ema holds more than tensors"),
        ({"best_counts": [[1]]}, "best_counts is list"),
        ({"rows": [[1]]}, "rows and columns differ"),
        ({"rows": [7]}, "TypeError"),
    ],
    ids=str,
)
def test_contents_of_another_kind_are_named(path: Path, changes: dict[str, Any], said: str) -> None:
    torch.save(tiny_state(format=STATE_FORMAT, **changes), path)
    assert said in refused(path, "its contents are damaged")


def test_what_is_missing_is_named(path: Path) -> None:
    state = tiny_state(format=STATE_FORMAT)
    del state["optimizer"]
    torch.save(state, path)
    refused(path, "its contents are damaged (no optimizer)")
    torch.save({"format": 1}, path)
    refused(path, "its contents are damaged (KeyError('rows'))")
