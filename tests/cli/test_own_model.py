"""Code that a file names is not run unasked, by whichever door it comes."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from tests.cli.program import seg
from tests.datasets import write_voc
from tests.training.tiny import tiny_config
from toolkit.training.run import train

EVIL = "open('executed', 'w').close()\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_voc(tmp_path / "voc")
    (tmp_path / "evil.py").write_text(EVIL, encoding="utf-8")
    return tmp_path


def test_a_file_of_options_may_not_name_code(home: Path) -> None:
    (home / "conf.yaml").write_text("model: py:evil:build\n", encoding="utf-8")
    done = seg(home, "train", "voc", "--config", "conf.yaml", code=1)
    assert "conf.yaml: its model is code of your own, py:evil:build" in done.stderr and "--allow-code" in done.stderr
    assert not (home / "executed").exists()


def test_nor_may_a_checkpoint_in_a_run_that_is_resumed(home: Path) -> None:
    """The sheet of pictures is drawn with the best model, whose file may be another than the run's."""
    best = train(tiny_config(home / "voc", epochs=1), out=home / "run").best
    with safe_open(best, framework="pt") as file:
        about = json.loads(file.metadata()["seg"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    about["config"]["model"], about["spec"]["width"] = "py:evil:build", None
    del about["crc32"]
    save_file(tensors, best, {"seg": json.dumps(about)})
    done = seg(home, "train", "run", "--resume", code=1)
    assert "best.safetensors: its model is code of your own" in done.stderr
    assert not (home / "executed").exists()
