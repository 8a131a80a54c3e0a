"""Labels: lists in every dress, renaming, leaving out, slips, what is not listed, too many."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.annotations import annotated, content, encoded, picture, shape, write_json
from tests.conversion.cases import drawn_by_labelme, mask_of
from toolkit.conversion.convert import convert
from toolkit.conversion.labelling import parse_pairs, parse_priorities
from toolkit.conversion.options import LabelOptions
from toolkit.errors import DataError, UsageError

BOXES = [[[x, 2], [x + 4, 9]] for x in (1, 8, 15, 22, 29)]


def boxes(folder: Path, *labels: Any) -> Path:
    """One annotation with a box for each label, side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.jpg").write_bytes(encoded(picture()))
    shapes = [shape(label, box, "rectangle") for label, box in zip(labels, BOXES, strict=False)]
    write_json(folder / "a.json", content(shapes))
    return folder


def ids_of(root: Path) -> list[int]:
    """The class id under each box."""
    mask = mask_of(root, "a")
    expected = np.zeros_like(mask)
    found = [int(mask[5, x + 2]) for ((x, _), _) in BOXES]
    for value, box in zip(found, BOXES, strict=True):
        expected[drawn_by_labelme([("rectangle", box, 1)]) > 0] = value
    np.testing.assert_array_equal(mask, expected)
    return found


def listed(folder: Path, text: str | bytes, name: str = "labels.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


LISTS = {
    "plain": "cat\ndog\n",
    "no line feed at the end": "cat\ndog",
    "both names first": "__ignore__\n_background_\ncat\ndog\n",
    "background only": "_background_\ncat\ndog\n",
    "ignore only": "__ignore__\ncat\ndog\n",
    "byte order mark": "\ufeffcat\ndog\n",
    "mark before both names": "\ufeff__ignore__\n_background_\ncat\ndog\n",
    "crlf": "__ignore__\r\n_background_\r\ncat\r\ndog\r\n",
    "old mac": "cat\rdog\r",
    "blank lines": "\n\n__ignore__\n\n_background_\n\ncat\n \t \ndog\n\n\n",
    "blanks around": "  cat \n\tdog\t\n",
    "marks without width": "cat\u200b\n\u200edog\n",
}
YAML = {
    "list": "- cat\n- dog\n",
    "flow": "[cat, dog]",
    "classes": "classes:\n  - cat\n  - dog\n",
    "labels": "labels: [cat, dog]\n",
    "both names first": "- __ignore__\n- _background_\n- cat\n- dog\n",
    "byte order mark": "\ufeff- cat\n- dog\n",
    "crlf": "- cat\r\n- dog\r\n",
    "names": "- name: cat\n- name: dog\n  aliases: [hund]\n  priority: 2\n",
    "mapping": "cat: [puss]\ndog: [hund]\n",
    "mapping without aliases": "cat:\ndog:\n",
    "json": '["cat", {"dog": ["hund"]}]',
}


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_list_in_every_dress(tmp_path: Path, name: str) -> None:
    report = convert(
        boxes(tmp_path / "in", "dog", "cat", "dog"), tmp_path / "voc", labels=listed(tmp_path, LISTS[name])
    )
    assert report.classes == ("_background_", "cat", "dog")
    assert ids_of(tmp_path / "voc") == [2, 1, 2, 0, 0]


@pytest.mark.parametrize("suffix", [".yaml", ".YML"])
@pytest.mark.parametrize("name", sorted(YAML))
def test_yaml_in_every_dress(tmp_path: Path, name: str, suffix: str) -> None:
    path = listed(tmp_path, YAML[name], f"labels{suffix}")
    report = convert(boxes(tmp_path / "in", "dog", "cat", "dog"), tmp_path / "voc", labels=path)
    assert report.classes == ("_background_", "cat", "dog")
    assert ids_of(tmp_path / "voc") == [2, 1, 2, 0, 0]


LAUGHS = "- &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)
BAD_LISTS: list[tuple[str, str | bytes, str]] = [
    ("labels.txt", b"", "labels.txt: names no class"),
    ("labels.txt", " \n\n", "labels.txt: names no class"),
    ("labels.txt", "__ignore__\n_background_\n", "labels.txt: names no class"),
    ("labels.txt", "cat\ndog\ncat\n", "line 3: 'cat' is listed twice, first in line 1"),
    ("labels.txt", "cat\n\n cat\n", "line 3: 'cat' is listed twice, first in line 1"),
    ("labels.txt", "_background_\n_background_\ncat\n", "line 2: '_background_' is listed twice"),
    ("labels.txt", "cat\n_background_\n", "line 2: _background_ is class 0"),
    ("labels.txt", "_background_\n__ignore__\ncat\n", "line 2: __ignore__ must be the first label"),
    ("labels.txt", "".join(f"c{i}\n" for i in range(255)), "256 classes, but a mask holds at most 255"),
    ("labels.txt", "h\xe4nd\n".encode("latin-1"), "cannot be read as UTF-8 text"),
    ("labels.txt", "cat\n".encode("utf-16"), "cannot be read as UTF-8 text"),
    ("labels.txt", encoded(picture()), "cannot be read as UTF-8 text"),
    ("l.yaml", b"", "a list of labels is needed"),
    ("l.yaml", "cat", "a list of labels is needed"),
    ("l.yaml", "3", "a list of labels is needed"),
    ("l.yaml", "[]", "names no class"),
    ("l.yaml", "- cat\n- no\n", "entry 2: YAML takes this label for true or false"),
    ("l.yaml", "- cat\n-\n", "entry 2: a label is needed, got None"),
    ("l.yaml", "- cat\n- ' '\n", "entry 2: a label is needed"),
    ("l.yaml", "- cat\n- [dog]\n", "entry 2: a label is needed, got a list"),
    ("l.yaml", "- cat\n- cat\n", "entry 2: 'cat' is listed twice"),
    ("l.yaml", "- cat\n- {name: dog, alias: [x]}\n", "entry 2: 'alias' is not known. Known: name, aliases, priority"),
    ("l.yaml", "- cat\n- {name: dog, aliases: {x: y}}\n", "entry 2: aliases: a list of labels is needed"),
    ("l.yaml", "- cat: [x]\n- dog: [x]\n", "entry 2: 'x' is already another name of 'cat'"),
    ("l.yaml", "- cat: [dog]\n- dog\n", "'dog' is a class and another name of 'cat'"),
    ("l.yaml", "- {name: cat, priority: high}\n", "entry 1: priority: a number is needed, got 'high'"),
    ("l.yaml", "- {name: cat, priority: .nan}\n", "entry 1: priority: a number is needed, got nan"),
    ("l.yaml", "- {name: cat, priority: true}\n", "entry 1: priority: a number is needed, got True"),
    ("l.yaml", "- cat\n\t- dog", "cannot be read as YAML"),
    ("l.yaml", "[" * 5000, "cannot be read as YAML"),
    ("l.yaml", "- " + "9" * 5000, "cannot be read as YAML"),
    ("l.yaml", "- 2020-13-45", "cannot be read as YAML"),
    ("l.yaml", "- !!bool x", "cannot be read as YAML"),
    ("l.yaml", '- !!int ""', "cannot be read as YAML"),
    ("l.yaml", "- !!timestamp x", "cannot be read as YAML"),
    ("l.yaml", "- !!python/object/apply:os.system [id]", "cannot be read as YAML"),
    ("l.yaml", "- &a [*a]", "entry 1: a label is needed, got a list"),
    ("l.yaml", LAUGHS, "entry 1: a label is needed, got a list"),
    ("l.yaml", f"- cat\n- [[{LAUGHS[4:].splitlines()[0]}]]\n", "entry 2: a label is needed, got a list"),
    ("l.yaml", "- cat\n---\n- dog\n", "cannot be read as YAML"),
    ("l.yaml", "cat: [a]\ncat: [b]\n", "cat"),
]


@pytest.mark.parametrize(
    ("name", "text", "message"), BAD_LISTS, ids=[f"{i} {c[2][:40]}" for i, c in enumerate(BAD_LISTS)]
)
def test_a_list_that_cannot_be_used(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as raised:
        convert(boxes(tmp_path / "in", "cat"), tmp_path / "voc", labels=listed(tmp_path, text, name))
    assert message in str(raised.value)
    assert name in str(raised.value)
    assert len(str(raised.value)) < 1000
    assert not (tmp_path / "voc").exists()


@pytest.mark.parametrize("path", ["gone.txt", "gone.yaml", ".", "in"])
def test_a_list_that_is_not_there(tmp_path: Path, path: str) -> None:
    boxes(tmp_path / "in", "cat")
    with pytest.raises(DataError, match=r"no such file|cannot be read"):
        convert(tmp_path / "in", tmp_path / "voc", labels=tmp_path / path)


UNKNOWN = {
    "ignore": ([1, 255, 255, 0, 0], ("_background_", "cat")),
    "background": ([1, 0, 0, 0, 0], ("_background_", "cat")),
    "add": ([1, 2, 3, 0, 0], ("_background_", "cat", "dog", "eel")),
}


@pytest.mark.parametrize("policy", sorted(UNKNOWN))
def test_what_becomes_of_unlisted_labels(tmp_path: Path, policy: str) -> None:
    ids, classes = UNKNOWN[policy]
    report = convert(
        boxes(tmp_path / "in", "cat", "dog", "eel"),
        tmp_path / "voc",
        labels=listed(tmp_path, "cat\n"),
        label_options=LabelOptions(unknown=policy),
    )
    assert ids_of(tmp_path / "voc") == ids
    assert report.classes == classes
    said = [str(finding) for finding in report.remarks]
    if policy != "add":
        assert any("'dog' (1 shape)" in text for text in said)
        assert any("'eel' (1 shape)" in text for text in said)


SLIPS = {
    "Cat": "cat",
    " cat": "",
    "CAT": "cat",
    "ca t": "cat",
    "catt": "cat",
    "c\xe4t": "cat",
    "zebra": "",
    "d\u00f6g": "dog",
}


@pytest.mark.parametrize("slip", sorted(SLIPS))
def test_a_slip_names_the_closest_listed_label(tmp_path: Path, slip: str) -> None:
    labels = listed(tmp_path, "cat\ndog\n")
    boxes(tmp_path / "in", "cat", slip)
    if slip == " cat":
        assert any(
            "is read as 'cat'" in str(f) for f in convert(tmp_path / "in", tmp_path / "voc", labels=labels).remarks
        )
        return
    with pytest.raises(DataError) as raised:
        convert(tmp_path / "in", tmp_path / "voc", labels=labels)
    assert f"'{slip}' (1 shape, first in {tmp_path / 'in' / 'a.json'})" in str(raised.value)
    assert (f"Did you mean '{SLIPS[slip]}'" in str(raised.value)) == bool(SLIPS[slip])


@pytest.mark.parametrize("other", ["Cat", "c_a_t", "c-at", "C AT", "cAT"])
def test_without_a_list_labels_that_look_alike_are_said(tmp_path: Path, other: str) -> None:
    report = convert(boxes(tmp_path / "in", "cat", "cat", other), tmp_path / "voc")
    (remark,) = report.remarks
    assert "'cat' (2 shapes)" in str(remark)
    assert f"--map '{other}=cat'" in str(remark)
    assert report.ok


@pytest.mark.parametrize("same", ["cat ", " cat", "\tcat\n", "\ufeffcat", "c\u200bat", "cat\x00", "\u202acat\u202c"])
def test_labels_that_cannot_be_told_apart_are_one_class(tmp_path: Path, same: str) -> None:
    report = convert(boxes(tmp_path / "in", "cat", same), tmp_path / "voc")
    assert report.classes == ("_background_", "cat")
    assert report.shapes == {"cat": 2}
    (remark,) = report.remarks
    assert remark.place.endswith("a.json: shapes[1].label")


OPTIONS: list[tuple[str, LabelOptions, Sequence[int], Sequence[str]]] = [
    ("map", LabelOptions(rename=(("dog", "cat"),)), [1, 1, 2, 0, 255], ["cat", "eel"]),
    ("map to new", LabelOptions(rename=(("dog", "yak"),)), [1, 3, 2, 0, 255], ["cat", "eel", "yak"]),
    ("map to ignore", LabelOptions(rename=(("dog", "__ignore__"),)), [1, 255, 2, 0, 255], ["cat", "eel"]),
    ("map to background", LabelOptions(rename=(("dog", "_background_"),)), [1, 0, 2, 0, 255], ["cat", "eel"]),
    ("swap", LabelOptions(rename=(("dog", "cat"), ("cat", "dog"))), [2, 1, 3, 0, 255], ["cat", "dog", "eel"]),
    ("map ignore", LabelOptions(rename=(("__ignore__", "cat"),)), [1, 2, 3, 0, 1], ["cat", "dog", "eel"]),
    ("only", LabelOptions(only=("dog",)), [0, 1, 0, 0, 255], ["dog"]),
    ("only two", LabelOptions(only=("dog", "eel")), [0, 1, 2, 0, 255], ["dog", "eel"]),
    ("drop", LabelOptions(drop=("dog",)), [1, 0, 2, 0, 255], ["cat", "eel"]),
    ("drop ignore", LabelOptions(drop=("__ignore__",)), [1, 2, 3, 0, 0], ["cat", "dog", "eel"]),
    ("only and drop", LabelOptions(only=("dog", "cat"), drop=("cat",)), [0, 1, 0, 0, 255], ["dog"]),
    ("map and only", LabelOptions(rename=(("dog", "cat"),), only=("cat",)), [1, 1, 0, 0, 255], ["cat"]),
    ("map and drop the old", LabelOptions(rename=(("dog", "cat"),), drop=("dog",)), [1, 0, 2, 0, 255], ["cat", "eel"]),
    ("blanks", LabelOptions(rename=((" dog ", " cat"),)), [1, 1, 2, 0, 255], ["cat", "eel"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "ids", "classes"), OPTIONS, ids=[case[0] for case in OPTIONS])
def test_label_options(
    tmp_path: Path, name: str, options: LabelOptions, ids: Sequence[int], classes: Sequence[str]
) -> None:
    source = boxes(tmp_path / "in", "cat", "dog", "eel", "_background_", "__ignore__")
    report = convert(source, tmp_path / "voc", label_options=options)
    assert ids_of(tmp_path / "voc") == list(ids)
    assert report.classes == ("_background_", *classes)
    assert report.remarks == ()


WRONG: dict[str, Callable[[], Any]] = {
    "map without sign": lambda: parse_pairs("map", ["cat"]),
    "map without new": lambda: parse_pairs("map", ["cat="]),
    "map without old": lambda: parse_pairs("map", ["=cat"]),
    "map twice": lambda: LabelOptions(rename=(("a", "b"), ("a", "c"))),
    "priority without number": lambda: parse_priorities(["cat=high"]),
    "priority not a number": lambda: LabelOptions(priorities=parse_priorities(["cat=nan"])),
    "unknown policy": lambda: LabelOptions(unknown="errors"),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_wrong_label_options(name: str) -> None:
    with pytest.raises(UsageError):
        WRONG[name]()


def test_options_that_name_no_label_are_said(tmp_path: Path) -> None:
    options = LabelOptions(rename=(("dgo", "cat"),), drop=("eal",), priorities=(("catt", 1.0),))
    report = convert(boxes(tmp_path / "in", "cat", "dog"), tmp_path / "voc", label_options=options)
    said = [str(finding) for finding in report.remarks]
    assert ["--map" in said[0], "'dog'" in said[0], "--drop" in said[1], "--priority" in said[2]] == [True] * 4


@pytest.mark.parametrize(("count", "fits"), [(254, True), (255, False), (300, False)])
def test_class_ids_end_at_254(tmp_path: Path, count: int, fits: bool) -> None:
    path = annotated(tmp_path / "in")
    dots = [shape(f"c{i:03}", [[i % 36, i // 36 * 2]] * 2, "rectangle") for i in range(count)]
    write_json(path, content(dots))
    if not fits:
        with pytest.raises(DataError, match=f"{count + 1} classes, but a mask holds at most 255"):
            convert(tmp_path / "in", tmp_path / "voc")
        assert not (tmp_path / "voc").exists()
        return
    convert(tmp_path / "in", tmp_path / "voc")
    mask = mask_of(tmp_path / "voc", "a")
    assert [int(mask[i // 36 * 2, i % 36]) for i in range(count)] == list(range(1, count + 1))
