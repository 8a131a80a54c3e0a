"""Options of augmentation: presets, YAML files, and what is refused."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolkit.data.augment import AUGMENTS, Augment, augment_by_name
from toolkit.errors import DataError, UsageError


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", list(AUGMENTS))
def test_presets_come_by_name(name: str) -> None:
    assert augment_by_name(name) == AUGMENTS[name]


def test_presets_are_ordered_by_strength() -> None:
    none, light, default, strong = (AUGMENTS[name] for name in ("none", "light", "default", "strong"))
    assert none == Augment()
    for weak, more in ((none, light), (light, default), (default, strong)):
        assert weak.scale[0] >= more.scale[0] and weak.scale[1] <= more.scale[1]
        for option in ("aspect", "rotation", "rare", "brightness", "contrast", "saturation", "hue", "blur", "noise"):
            assert getattr(weak, option) <= getattr(more, option), option
        assert weak.jpeg >= more.jpeg
    assert all(preset.flip_vertical == preset.quarter_turns == 0 for preset in AUGMENTS.values()), "up stays up"


def test_a_file_changes_the_default_preset(tmp_path: Path) -> None:
    found = augment_by_name(written(tmp_path, "rotation: 10\nscale: [0.5, 2]\nflip: 0  # left lane, right lane\n"))
    assert (found.rotation, found.scale, found.flip) == (10, (0.5, 2), 0)
    assert (found.hue, found.aspect, found.shift) == (8, 1.15, 1), "as in default"


def test_a_file_may_name_the_preset_that_it_changes(tmp_path: Path) -> None:
    found = augment_by_name(written(tmp_path, "preset: none\nflip_vertical: 0.5\n"))
    assert found == Augment(flip_vertical=0.5)


@pytest.mark.parametrize("text", ["", "# nothing\n", "\ufeffpreset: default\n"])
def test_a_file_that_changes_nothing_is_the_default(tmp_path: Path, text: str) -> None:
    assert augment_by_name(written(tmp_path, text)) == AUGMENTS["default"]


@pytest.mark.parametrize("text", ["flip: 5e-1", "flip: 0.5", "flip: '0.5'", "flip: .5"])
def test_numbers_may_be_written_as_people_write_them(tmp_path: Path, text: str) -> None:
    assert augment_by_name(written(tmp_path, f"preset: none\n{text}")) == Augment(flip=0.5)


@pytest.mark.parametrize("name", list(AUGMENTS))
def test_what_was_effective_is_written_and_read_back(tmp_path: Path, name: str) -> None:
    preset = AUGMENTS[name]
    assert augment_by_name(written(tmp_path, yaml.safe_dump(preset.as_dict()))) == preset
    assert Augment.from_dict(preset.as_dict(), "a run") == preset


def test_a_written_record_turns_off_what_it_does_not_know() -> None:
    """A run of today, resumed when there are more options, is augmented as it was."""
    record = AUGMENTS["default"].as_dict()
    del record["hue"]
    assert Augment.from_dict(record, "a run").hue == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotaton: 3", "'rotaton' is not an option of augmentation. Did you mean 'rotation'? Known: preset, scale,"),
        ("preset: strng", "preset: 'strng' is not one of none, light, default, strong. Did you mean 'strong'?"),
        ("rotation: 200", "rotation: 0 to 180 is possible, got 200."),
        ("rotation: -5", "rotation: 0 to 180 is possible, got -5."),
        ("flip: 1.5", "flip: 0 to 1 is possible, got 1.5."),
        ("flip: yes", "flip: a number is needed, got True."),
        ("hue: .nan", "hue: a number is needed, got nan."),
        ("hue: .inf", "hue: 0 to 180 is possible, got inf."),
        ("hue: [1, 2]", "hue: a number is needed, got [1, 2]."),
        ("hue:", "hue: a number is needed, got None."),
        ("jpeg: 0", "jpeg: 1 to 100 is possible, got 0."),
        ("scale: 2", "scale: the least and the most are needed, such as [0.6, 1.8], got 2."),
        ("scale: [1, 2, 3]", "scale: the least and the most are needed, such as [0.6, 1.8], got [1, 2, 3]."),
        ("scale: [2, 1]", "scale: the least comes first, then the most, got [2, 1]."),
        ("scale: [0, 1]", "scale: 0.05 to 20 is possible, got 0."),
        ("flip: 0\nhue: 3\nflip: 1", "'flip' is listed twice"),
        ("- flip", "lines of 'option: value' are needed, such as 'rotation: 10'."),
        ("strong", "lines of 'option: value' are needed, such as 'rotation: 10'."),
        ("flip: [1", "cannot be read as YAML"),
        ("flip: !!python/object/apply:os.system ['true']", "cannot be read as YAML"),
        ("? [1, 2]\n: 3", "cannot be read as YAML"),
        ("1: 2", "'1' is not an option of augmentation."),
    ],
)
def test_faults_of_a_file_name_file_and_option(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        augment_by_name(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["gone.yaml", "gone.yml", "folder/gone"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"gone.*: there is no such file"):
        augment_by_name(name)


def test_what_is_no_text_or_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"flip: \xff\xfe")
    with pytest.raises(DataError, match="cannot be read as UTF-8"):
        augment_by_name(str(path))
    folder = tmp_path / "b.yaml"
    folder.mkdir()
    with pytest.raises(DataError, match=r"b\.yaml: "):
        augment_by_name(str(folder))


@pytest.mark.parametrize("choice", ["defualt", "", "x" * 5000, "a\0b"])
def test_unknown_presets_are_usage_errors(choice: str) -> None:
    with pytest.raises(UsageError, match=r"Known: none, light, default, strong\. Or a YAML file of options\."):
        augment_by_name(choice)


def test_unknown_presets_get_the_closest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'default'"):
        augment_by_name("defualt")


def test_options_out_of_range_are_refused_in_python_too() -> None:
    with pytest.raises(UsageError, match=r"aspect: 1 to 4 is possible, got 0\.5"):
        Augment(aspect=0.5)
    with pytest.raises(UsageError, match="flip: 0 to 1 is possible, got nan"):
        Augment(flip=float("nan"))


DOCS = (Path(__file__).parents[2] / "docs" / "augmentation.md").read_text(encoding="utf-8")


def test_the_documented_presets_are_the_real_ones() -> None:
    """Every option, every value, and what is possible."""
    heading, _, *lines = [
        [item.strip(" `") for item in line.strip("|").split("|")]
        for line in DOCS.split("## Presets")[1].split("\n\n")[1].splitlines()
    ]
    assert heading == ["option", *AUGMENTS, "possible"]
    assert [line[0] for line in lines] == [option.name for option in fields(Augment)]
    for name, *values, possible in lines:
        for preset, value in zip(AUGMENTS.values(), values, strict=True):
            numbers = tuple(float(number) for number in value.split(","))
            assert getattr(preset, name) == (numbers if name == "scale" else numbers[0]), name
        low, high = (float(number) for number in possible.split(" to "))
        for bad in (low - 0.01, high + 0.01):
            changed: dict[str, Any] = {name: (bad, bad) if name == "scale" else bad}
            with pytest.raises(UsageError, match=f"^{name}: "):
                Augment(**changed)


def test_documented_files_are_read(tmp_path: Path) -> None:
    texts = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    assert len(texts) >= 2
    for text in texts:
        assert augment_by_name(written(tmp_path, text)) not in AUGMENTS.values()
