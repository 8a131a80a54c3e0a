"""A list of labels says the same as text and as YAML."""

from pathlib import Path

import pytest

from toolkit.errors import DataError
from toolkit.labels.labellist import read_label_list


def written(folder: Path, text: str, name: str = "labels.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "- road\n- car\n- person\n",
        "- __ignore__\n- _background_\n- road\n- car: [van, truck]\n- name: person\n",
        "classes:\n- road\n- car: van\n- {name: person, aliases: [human], priority: 2}\n",
        "labels: [road, car, person]\n",
        "road:\ncar: [van]\nperson:\n",
        "\ufeff- road\r\n- ' car '\r\n- person\r\n",
    ],
)
def test_every_way_to_write_it_gives_the_same_classes(tmp_path: Path, text: str) -> None:
    plain = written(tmp_path, "__ignore__\n_background_\nroad\ncar\nperson\n", "labels.txt")
    assert read_label_list(written(tmp_path, text)).classes == read_label_list(plain).classes


def test_aliases_and_priorities(tmp_path: Path) -> None:
    text = "- car: [van, truck]\n- {name: person, aliases: human, priority: -1.5}\n- 7\n- __ignore__\n"
    with pytest.raises(DataError, match="entry 4: __ignore__ must be the first label"):
        read_label_list(written(tmp_path, text))
    listed = read_label_list(written(tmp_path, text.replace("- __ignore__\n", "")))
    assert listed.classes.names == ("_background_", "car", "person", "7")
    assert listed.aliases == {"van": "car", "truck": "car", "human": "person"}
    assert listed.priorities == {"person": -1.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- cat\n- dog: [cat]\n", "'cat' is a class and another name of 'dog'"),
        ("- cat: [pet]\n- dog: [pet]\n", "entry 2: 'pet' is already another name of 'cat'"),
        ("- cat\n- cat\n", "entry 2: 'cat' is listed twice, first in entry 1"),
        ("- yes\n", "entry 1: YAML takes this label for true or false. Put it in quotes"),
        ("- {name: cat, colour: red}\n", "entry 1: 'colour' is not known. Known: name, aliases, priority"),
        ("- {name: cat, priority: high}\n", "entry 1: priority: a number is needed, got 'high'"),
        ("- {name: cat, aliases: {a: b}}\n", "entry 1: aliases: a list of labels is needed"),
        ("- [cat]\n", "entry 1: a label is needed"),
        ("- ''\n", "entry 1: a label is needed"),
        ("cat\n", "a list of labels is needed"),
        ("", "a list of labels is needed"),
        ("[]", "names no class"),
        ("- [\n", "cannot be read as YAML"),
        ("- !!python/object/apply:os.system ['true']\n", "cannot be read as YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as raised:
        read_label_list(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)
