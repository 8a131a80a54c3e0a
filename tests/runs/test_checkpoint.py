"""Checkpoints: written and read back, refused when they cannot be trusted."""

import json
import os
import pickle
import random
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.runs.checkpoints import Malice, saved_checkpoint, tiny_checkpoint, write_malice
from toolkit.errors import CheckpointError
from toolkit.runs.checkpoint import Checkpoint


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
    """The checkpoint with parts of its description replaced, and without its checksum."""
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["seg"]) | changes
        del about["crc32"]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    save_file(tensors, path, {"seg": json.dumps(about)})
    return path


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


@pytest.mark.parametrize("name", ["", " ", "c\nd", "b\x1b[2J", "a ", "\ud800", 3])
def test_class_names_that_could_not_stand_in_a_list_are_refused(tmp_path: Path, name: Any) -> None:
    path = rewritten(saved_checkpoint(tmp_path / "odd.safetensors"), classes=["_background_", "a", name])
    text = damaged(path, "its description is damaged")
    assert text.isprintable() and "Error(" not in text and "Use another checkpoint" in text


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


def damaged(path: Path, said: str = "") -> str:
    """The message with which a file is refused: its name first, at most two lines."""
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and text.count("\n") < 2, text
    assert said in text
    return text


def test_truncated_anywhere(tmp_path: Path) -> None:
    path = saved_checkpoint(tmp_path / "cut.safetensors")
    data = path.read_bytes()
    for end in [0, 1, 7, 8, 9, *range(100, len(data), len(data) // 25), len(data) - 1]:
        path.write_bytes(data[:end])
        damaged(path, "not a checkpoint or a damaged one")


def test_a_bit_that_turned_anywhere_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = saved_checkpoint(tmp_path / "worn.safetensors")
    data, whole = path.read_bytes(), Checkpoint.load(path)
    header = 8 + int.from_bytes(data[:8], "little")
    rng = random.Random(3)
    noticed = 0
    for place in [rng.randrange(header) for _ in range(150)] + [rng.randrange(header, len(data)) for _ in range(30)]:
        worn = bytearray(data)
        worn[place] ^= 1 << rng.randrange(8)
        path.write_bytes(worn)
        try:
            found = Checkpoint.load(path)
        except CheckpointError as error:
            assert str(error).startswith(f"{path}: ")
            noticed += 1
        else:
            assert place < header  # in the name of the checksum: it is not looked for, and nothing else was touched
            assert (found.config, found.classes, found.progress) == (whole.config, whole.classes, whole.progress)
            assert all(torch.equal(found.weights[name], whole.weights[name]) for name in whole.weights)
    assert noticed >= 170


def test_a_changed_weight_alone_is_called_damage(tmp_path: Path) -> None:
    path = saved_checkpoint(tmp_path / "worn.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    damaged(path, "its checksum does not fit. Use another one.")


def test_files_from_before_the_checksum_are_read(tmp_path: Path) -> None:
    path = rewritten(saved_checkpoint(tmp_path / "old.safetensors"))
    assert b"crc32" not in path.read_bytes()
    assert Checkpoint.load(path).classes.names == ("_background_", "disc", "bar")


def header_only(text: str, length: int | None = None) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data) if length is None else length) + data


@pytest.mark.parametrize(
    "content",
    [
        header_only("{}", 2**63),
        header_only("{}", 2**64 - 1),
        header_only('{"w":{"dtype":"F32","shape":[1000000000000000],"data_offsets":[0,4000000000000000]}}'),
        header_only('{"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
        header_only('{"w":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}'),
        header_only("[" * 100_000),
        header_only('{"__metadata__":{"seg":7}}'),
        bytes(64),
    ],
    ids=["2^63", "2^64-1", "10^15 elements", "2^64 elements", "before the start", "deep", "no text", "zeros"],
)
def test_lies_about_sizes_cost_neither_memory_nor_time(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "liar.safetensors"
    path.write_bytes(content)
    damaged(path)


@pytest.mark.parametrize(
    "spec",
    [{"classes": 0}, {"classes": "3"}, {"classes": 3, "width": -4}, {"classes": 3, "in_channels": True}, [], 7],
    ids=str,
)
def test_a_model_that_cannot_be(tmp_path: Path, spec: Any) -> None:
    damaged(rewritten(saved_checkpoint(tmp_path / "odd.safetensors"), spec=spec), "its description is damaged")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    damaged(tmp_path / "folder.safetensors", "is no ordinary file")
    os.mkfifo(tmp_path / "pipe.safetensors")
    damaged(tmp_path / "pipe.safetensors", "is no ordinary file")
    (tmp_path / "link.safetensors").symlink_to("link.safetensors")
    damaged(tmp_path / "link.safetensors")
    (tmp_path / "photo.jpg").touch()
    damaged(tmp_path / "photo.jpg" / "best.safetensors", "there is no such checkpoint")


@pytest.mark.parametrize("writer", ["pickle", "torch", "torch, old"])
def test_code_is_refused_without_running_it(tmp_path: Path, writer: str) -> None:
    path, trace = tmp_path / "best.safetensors", tmp_path / "executed"
    write_malice(path, {"format": 1}, trace, writer)
    damaged(path, "not a checkpoint or a damaged one")
    assert not trace.exists()
    pickle.loads(pickle.dumps(Malice(trace)))  # it would have run
    assert trace.exists()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("vgg16-unet", "its model, vgg16-unet, cannot be built: width: vgg16-unet has a fixed width"),
        ("unets", "its model, unets, cannot be built: model 'unets' is not known"),
    ],
)
def test_a_model_that_cannot_be_built_is_a_fault_of_the_checkpoint(tmp_path: Path, model: str, reason: str) -> None:
    path = saved_checkpoint(tmp_path / "a.safetensors")
    with safe_open(path, framework="pt") as file:
        config = json.loads(file.metadata()["seg"])["config"]
    with pytest.raises(CheckpointError, match=reason):
        Checkpoint.load(rewritten(path, config=config | {"model": model})).build()


def test_masks_as_fine_as_the_model_does_not_make_them_are_refused(tmp_path: Path) -> None:
    path = saved_checkpoint(tmp_path / "a.safetensors")
    with safe_open(path, framework="pt") as file:
        preprocess = json.loads(file.metadata()["seg"])["preprocess"]
    with pytest.raises(CheckpointError, match=r"a\.safetensors: its description is damaged .*upscale 2 and 1"):
        Checkpoint.load(rewritten(path, preprocess=preprocess | {"upscale": 2}))
