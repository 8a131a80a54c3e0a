"""Help texts, version, defaults: what is shown is what happens."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch

import toolkit
from tests.cli.program import seg, seg_program
from toolkit.models import MODELS
from toolkit.models.build import build_model
from toolkit.runs.config import TrainConfig

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "convert", "split", "train", "predict", "annotate", "export", "bench", "demo", "models", "stats", "check", "weights",
)  # fmt: skip


def test_version(tmp_path: Path) -> None:
    assert seg_program(tmp_path, "--version").stdout.strip() == f"seg {toolkit.__version__}"


def test_every_command_is_listed_and_explains_itself(tmp_path: Path) -> None:
    listing = seg_program(tmp_path, "--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", listing, re.MULTILINE)
        assert "Usage: seg " in seg(tmp_path, command, "-h").stdout


def test_every_training_option_is_offered_with_its_default(tmp_path: Path) -> None:
    text = " ".join(seg(tmp_path, "train", "--help").stdout.split())
    for option in fields(TrainConfig):
        if option.name == "dataset":
            continue
        assert f"--{option.name.replace('_', '-')}" in text
        if option.default is not None:
            assert f"[default: {option.default}]" in text


def test_models_are_listed(tmp_path: Path) -> None:
    listing = seg_program(tmp_path, "models").stdout
    for name in MODELS:
        assert name in listing


def test_one_model_is_shown_with_its_options_and_sizes(tmp_path: Path) -> None:
    facts = json.loads(seg(tmp_path, "models", "unet-tf", "--json").stdout)["unet-tf"]
    entry = MODELS.entry("unet-tf")
    assert (facts["parameters"], facts["gflops"], facts["upscale"]) == (entry.parameters, entry.gflops, True)
    (same,) = (
        line for line in seg(tmp_path, "models", "unet-tf").stdout.splitlines() if line.startswith("the same as")
    )
    name = same.split()[-1]
    torch.manual_seed(0)
    preset = build_model("unet-tf", 2, width=4).state_dict()
    torch.manual_seed(0)
    spelled = build_model(name, 2, width=4).state_dict()
    assert preset.keys() == spelled.keys() and all(torch.equal(value, spelled[key]) for key, value in preset.items())


def test_other_sizes_and_classes_are_counted(tmp_path: Path) -> None:
    facts = json.loads(seg(tmp_path, "models", "unet", "--classes", "2", "--size", "256", "--json").stdout)["unet"]
    assert facts["parameters"] == MODELS.entry("unet").parameters - 19 * 33
    assert facts["gflops"] == pytest.approx(MODELS.entry("unet").gflops / 4, rel=0.02)
    assert "Did you mean 'unet'?" in seg(tmp_path, "models", "umet", code=2).stderr


def documented_commands() -> list[tuple[str, str]]:
    """(file, command) for each line of a code block that starts with `seg`."""
    found = []
    for path in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
        for block in re.findall(r"```(?:sh|console|bash)?\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            found += [
                (path.name, line.strip()) for line in block.splitlines() if re.match(r"\s*(uv run )?seg \S", line)
            ]
    return found


@pytest.mark.parametrize(("file", "line"), documented_commands(), ids=lambda text: text)
def test_documented_commands_exist_with_their_options(tmp_path: Path, file: str, line: str) -> None:
    words = line.split("#", maxsplit=1)[0].removeprefix("uv run ").split()[1:]
    if words[0].startswith("-"):
        assert words[0] in seg(tmp_path, "--help").stdout
        return
    assert words[0] in COMMANDS, f"{file}: {line}"
    text = seg(tmp_path, words[0], "--help").stdout
    for word in words[1:]:
        if word.startswith("-"):
            assert re.search(rf"(?<![\w-]){re.escape(word.split('=')[0])}(?![\w-])", text), f"{file}: {line}: {word}"
