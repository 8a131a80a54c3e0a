"""What a run keeps of its options, and that it goes on with them whatever became of the files they came from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import toolkit
from tests.datasets import write_voc
from tests.training.tiny import Listener, log_of, stop_when_asked, tiny_config
from toolkit.errors import Interrupted, RunError, UsageError
from toolkit.runs.config import TrainConfig
from toolkit.training.run import train


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "voc", train=5, val=1)


def test_augmentation_from_a_file_is_kept_with_the_run(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("preset: light\nrotation: 30\nflip: 1\n", encoding="utf-8")
    chosen = tiny_config(dataset, augment=str(path), lr=0.01)
    whole = train(chosen, out=tmp_path / "whole")
    kept = json.loads(TrainConfig.read(whole.run.config).augment)
    assert (kept["rotation"], kept["flip"], kept["flip_vertical"]) == (30, 1, 0)
    with pytest.raises(Interrupted):
        train(chosen, out=tmp_path / "run", should_stop=stop_when_asked(2))
    path.write_text("rotation: 90\n", encoding="utf-8")
    assert train(resume=tmp_path / "run").last.read_bytes() == whole.last.read_bytes()
    path.unlink()
    other = train(tiny_config(dataset, augment="light", lr=0.01), out=tmp_path / "other")
    assert log_of(other.run.root)[-1]["train_loss"] != log_of(whole.run.root)[-1]["train_loss"]


def test_run_killed_before_its_first_save_begins_where_it_began(dataset: Path, tmp_path: Path) -> None:
    whole = train(tiny_config(dataset), out=tmp_path / "whole")
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.yaml", "manifest.json"):
        (run / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    assert train(resume=run).last.read_bytes() == whole.last.read_bytes()


def test_the_cache_gives_what_the_files_give(dataset: Path, tmp_path: Path) -> None:
    """The pictures are smaller than what is kept, so that they are kept as they are."""
    whole = train(tiny_config(dataset), out=tmp_path / "whole")
    cached = train(tiny_config(dataset, cache="disk", workers=2), out=tmp_path / "cached")
    assert log_of(cached.run.root)[-1]["train_loss"] == log_of(whole.run.root)[-1]["train_loss"]
    assert len(list((dataset / ".cache").rglob("*.pixels"))) == 5


def test_what_was_said_is_in_the_text_log_over_a_stop(dataset: Path, tmp_path: Path) -> None:
    listener = Listener()
    with pytest.raises(Interrupted):
        train(tiny_config(dataset), out=tmp_path / "run", progress=listener, should_stop=stop_when_asked(2))
    train(resume=tmp_path / "run", progress=listener)
    text = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    for line in listener.said:
        assert line in text
    assert text.count("epoch 2/2  loss") == 1 and "Interrupted: stopped in epoch 1" in text


def test_the_compiled_model_learns_what_the_plain_one_learns(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's compiler takes a minute; here it is one that counts calls, and one that fails."""
    calls = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            return function(*arguments)

        return call

    plain = train(tiny_config(dataset), out=tmp_path / "plain")
    monkeypatch.setattr("torch.compile", counted)
    compiled = train(tiny_config(dataset, compile=True), out=tmp_path / "compiled")
    assert calls == 2 * 3
    assert log_of(compiled.run.root)[-1]["train_loss"] == log_of(plain.run.root)[-1]["train_loss"]
    assert toolkit.load(compiled.best).classes == toolkit.load(plain.best).classes

    class NoCompiler(RuntimeError):
        __module__ = "torch._inductor.exc"

    def failing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            raise NoCompiler("no C++ compiler\nand a long story")

        return call

    monkeypatch.setattr("torch.compile", failing)
    with pytest.raises(RunError, match=r"cannot compile the model here \(no C\+\+ compiler\)\. Leave out --compile"):
        train(tiny_config(dataset, compile=True), out=tmp_path / "failing")


def test_a_device_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError, match="device: a name is missing in '0,'"):
        TrainConfig(device="0,")
