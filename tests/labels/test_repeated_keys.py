"""Files in which a key stands several times: read as labelme reads them, and said."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.annotations import SAMPLE, annotated, content, shape
from tests.oracles import labelme_read
from toolkit.labels.annotation import Annotation
from toolkit.labels.labelme import parse_labelme

PATH = Path("a.json")


class Twice(dict[str, Any]):
    """Written with its own entries, and before those with the earlier ones."""

    def __init__(self, earlier: dict[str, Any], values: dict[str, Any]) -> None:
        super().__init__(values)
        self.earlier = earlier


def written(value: Any, blank: str = " ") -> str:
    """JSON, as `json.dumps` cannot write it."""
    if isinstance(value, dict):
        pairs = [*(value.earlier.items() if isinstance(value, Twice) else ()), *value.items()]
        return "{" + ", ".join(f"{json.dumps(key)}{blank}: {written(each, blank)}" for key, each in pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(each, blank) for each in value) + "]"
    return json.dumps(value)


def read(text: str) -> Annotation:
    annotation = parse_labelme(PATH, text.encode(), images=False)
    assert annotation is not None
    return annotation


def places(annotation: Annotation) -> list[str]:
    return [finding.place for finding in annotation.findings if finding.code == "repeated-key"]


def test_a_merge_that_kept_both_lists_of_shapes(tmp_path: Path) -> None:
    path = annotated(tmp_path, "a")
    path.write_text(written(Twice({"shapes": [shape("cat"), shape("dog")]}, content([shape("eel")]))), encoding="utf-8")
    annotation = parse_labelme(path, path.read_bytes())
    assert annotation is not None
    assert [item.label for item in annotation.shapes] == ["eel"]
    assert [item["label"] for item in labelme_read(path).shapes] == ["eel"]
    (finding,) = annotation.findings
    assert str(finding) == (
        f"{path}: shapes: is there 2 times; the last one counts, as in labelme (1 entry; not 2 entries). "
        "Join them in a text editor before labelme saves the file, which keeps the last one only."
    )


EARLIER: dict[str, Any] = {
    "shapes": [shape("lost"), shape("lost")],
    "imagePath": "lost.jpg",
    "imageData": "bG9zdA==",
    "imageHeight": 999,
    "imageWidth": 999,
    "version": "0.0",
    "flags": {"predicted": True},
}
EARLIER_OF_SHAPE: dict[str, Any] = {"label": "lost", "points": [[0, 0]], "shape_type": "circle", "group_id": 77}
KEYS = st.sets(st.sampled_from(sorted(EARLIER)))
KEYS_OF_SHAPE = st.sets(st.sampled_from(sorted(EARLIER_OF_SHAPE)))


@settings(deadline=None, max_examples=60)
@given(
    keys=KEYS,
    shapes=st.lists(KEYS_OF_SHAPE, max_size=3),
    predicted=st.booleans(),
    same=st.booleans(),
    loose=st.booleans(),
    blank=st.sampled_from(["", " ", "\n\t"]),
)
def test_each_is_named_where_it_says_something_else(
    keys: set[str], shapes: list[set[str]], predicted: bool, same: bool, loose: bool, blank: str
) -> None:
    def twice(keys: set[str], earlier: dict[str, Any], values: dict[str, Any]) -> Twice:
        return Twice({key: (values if same else earlier)[key] for key in keys}, values)

    plain = content([shape(f"class {index}") for index in range(len(shapes))], flags={"predicted": False})
    if loose:
        plain["version"] = 5
    expected = [] if same else [f"{PATH}: {key}" for key in keys]
    file = twice(keys, EARLIER, plain)
    file["shapes"] = [twice(own, EARLIER_OF_SHAPE, item) for own, item in zip(shapes, plain["shapes"], strict=True)]
    if predicted:
        file["flags"] = twice({"predicted"}, {"predicted": True}, plain["flags"])
        expected += [] if same else [f"{PATH}: flags.predicted"]
    if not same:
        expected += [f"{PATH}: shapes[{index}].{key}" for index, own in enumerate(shapes) for key in own]
    annotation = read(written(file, blank))
    assert sorted(places(annotation)) == sorted(expected)
    last = read(json.dumps(plain))
    assert replace(annotation, findings=()) == replace(last, findings=())


@pytest.mark.parametrize("order", ["picture first", "picture last", "two pictures"])
def test_beside_an_embedded_picture(order: str) -> None:
    picture, rest = {"imageData": "A" * 300_000}, {"shapes": [shape()], "imagePath": "a.jpg", "imageHeight": 24}
    earlier: dict[str, Any] = {"imageHeight": 1, "shapes": [shape("lost")]}
    if order == "two pictures":
        earlier |= {"imageData": "B" * 200_000}
    file = Twice(picture | earlier, rest) if order == "picture first" else Twice(earlier, rest | picture)
    assert places(read(written(file))) == [f"{PATH}: {key}" for key in earlier]


@pytest.mark.parametrize(
    "file",
    [
        content([shape(label) for label in ("shapes", "points", 'a "points": b', "flags")]),
        content([shape(foreign={"label": "x", "points": []})], foreign=[{"shapes": []}, {"imagePath": "b.jpg"}]),
        content([shape(flags={"predicted": True, "shapes": False})], flags={"label": True, "points": True}),
        content([{"label": "cat", "points": [[1, 1], [9, 1], [5, 5]]}, shape()]),
        content([shape(points=[]), "no shape", shape()]),
        Twice({"shapes": [], "flags": {}, "imagePath": "", "imageHeight": None}, content([shape()])),
    ],
    ids=["labels", "foreign", "flags", "few keys", "loose", "nothing lost"],
)
def test_nothing_is_said_of_files_that_only_look_so(file: dict[str, Any]) -> None:
    assert places(read(written(file))) == []


def test_nothing_is_said_of_the_sample() -> None:
    for path in SAMPLE.glob("*.json"):
        assert places(read(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (json.dumps("\x1b[2J\ud800"), r"not '\x1b[2J\ud800'"),
        (f'"{"x" * 5000}"', "not 5000 characters"),
        ('"b.jpg", "unknown": ' + "9" * 5000, "not 'b.jpg'"),
        (
            '1, "imagePath": ' * 5 + "2",
            "is there 7 times; the last one counts, as in labelme ('a.jpg'; not 1, 1, 1, ...)",
        ),
    ],
    ids=["commands", "long", "huge number elsewhere", "many"],
)
def test_values_are_shown_so_that_they_can_be(value: str, said: str) -> None:
    (finding,) = read('{"imagePath": ' + value + ", " + json.dumps(content([]))[1:]).findings
    assert said in str(finding)
    str(finding).encode("utf-8")
