"""Options of a run: to YAML and back, and what is refused."""

from pathlib import Path

import pytest
import yaml

from toolkit.errors import DataError, UsageError
from toolkit.runs.config import TrainConfig


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return path


CHANGED = TrainConfig(
    dataset="daten/Möhren: rot #1",
    model="unet",
    width=8,
    lr=1e-4,
    class_weights="1,2.5,0",
    amp=False,
    workers=0,
    freeze_epochs=0,
    warmup_epochs=0.5,
    seed=12345678901,
)


@pytest.mark.parametrize("config", [TrainConfig(), CHANGED], ids=["defaults", "changed"])
def test_every_option_survives_yaml(tmp_path: Path, config: TrainConfig) -> None:
    path = written(tmp_path, config.to_yaml())
    assert TrainConfig.read(path) == config
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == config.as_dict()


def test_options_that_are_not_named_keep_their_defaults(tmp_path: Path) -> None:
    assert TrainConfig.read(written(tmp_path, "epochs: 7\n")) == TrainConfig(epochs=7)
    assert TrainConfig.read(written(tmp_path, "# nothing\n")) == TrainConfig()


def test_numbers_as_people_write_them_are_understood(tmp_path: Path) -> None:
    read = TrainConfig.read(written(tmp_path, "lr: 1e-4\nwarmup_epochs: 2\nweight_decay: 0\n"))
    assert read == TrainConfig(lr=1e-4, warmup_epochs=2.0, weight_decay=0.0)
    assert isinstance(read.warmup_epochs, float)


@pytest.mark.parametrize(("key", "meant"), [("epoch", "epochs"), ("Batch", "batch"), ("class_weight", "class_weights")])
def test_unknown_option_gets_the_closest_one(tmp_path: Path, key: str, meant: str) -> None:
    path = written(tmp_path, f"{key}: 3\n")
    with pytest.raises(UsageError) as caught:
        TrainConfig.read(path)
    assert str(caught.value) == f"{path}: '{key}' is not an option. Did you mean '{meant}'?"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("epochs: ten", "epochs: a whole number is needed, got 'ten'"),
        ("epochs: 2.5", "epochs: a whole number is needed, got 2.5"),
        ("epochs: true", "epochs: a whole number is needed, got True"),
        ("epochs: null", "epochs: a whole number is needed, got None"),
        ("epochs: [1]", "epochs: a whole number is needed, got [1]"),
        ("lr: fast", "lr: a number is needed, got 'fast'"),
        ("lr: true", "lr: a number is needed, got True"),
        ("amp: 1", "amp: true or false is needed, got 1"),
        ("device: 0", "device: text is needed, got 0"),
    ],
)
def test_value_of_another_type_is_refused_with_place_and_value(tmp_path: Path, line: str, said: str) -> None:
    path = written(tmp_path, line)
    with pytest.raises(UsageError) as caught:
        TrainConfig.read(path)
    assert str(caught.value) == f"{path}: {said}."


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("epochs: 0", "epochs: at least 1 is needed, got 0"),
        ("batch: -1", "batch: at least 1 is needed, got -1"),
        ("size: 31", "size: at least 32 is needed, got 31"),
        ("lr: -0.1", "lr: at least 0 is needed, got -0.1"),
        ("lr: .nan", "lr: a finite number is needed, got nan"),
        ("seed: -1", "seed: at least 0 is needed, got -1"),
        ("width: 0", "width: at least 1 is needed, got 0"),
        ("optimizer: adm", "optimizer: 'adm' is not one of adam, adamw, sgd. Did you mean 'adam'?"),
        ("cache: disc", "cache: 'disc' is not one of none, disk. Did you mean 'disk'?"),
        ("on_bad_image: go", "on_bad_image: 'go' is not one of stop, skip."),
        ("batch: many", "batch: a whole number or auto is needed, got 'many'"),
        ("accumulate: 0", "accumulate: at least 1 is needed, got 0"),
        ("ema: 1", "ema: a share below 1 is needed, such as 0.999, got 1.0"),
    ],
)
def test_value_out_of_range_is_refused_with_option_rule_and_value(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainConfig.read(written(tmp_path, line))
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text", "a: [1\n", "a: b: c"])
def test_what_is_no_list_of_options_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        TrainConfig.read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    path = written(tmp_path, f"dataset: !!python/object/apply:pathlib.Path.touch [{trace}]\n")
    with pytest.raises(DataError, match="cannot be read as YAML"):
        TrainConfig.read(path)
    assert not trace.exists()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.yaml: there is no such file"):
        TrainConfig.read(tmp_path / "absent.yaml")
