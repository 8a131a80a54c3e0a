"""A wrong type or an odd value in every field."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.annotations import content
from tests.conversion.cases import (
    ERROR,
    SILENT,
    SKIPPED,
    TRIANGLE,
    WARNED,
    Case,
    anything,
    dog,
    named,
    odd,
    odd_text,
    run,
    shapes,
)

INFINITE = float("inf")
NO_LABEL = {key: value for key, value in dog().items() if key != "label"}


def field(name: str, value: Any) -> Any:
    """Maker of an annotation with one field at the top changed."""
    return lambda folder: odd_text(folder, json.dumps(content([dog()], "odd.jpg") | {name: value}))


def second(value: Any) -> Any:
    """Maker of an annotation whose second shape is `value`."""
    return shapes(dog(), value)


def without(name: str) -> Any:
    def make(folder: Path) -> None:
        odd(folder)
        value = json.loads((folder / "odd.json").read_text())
        del value[name]
        (folder / "odd.json").write_text(json.dumps(value))

    return make


def skipped(name: str, value: Any, place: str, reason: str) -> Case:
    """The second shape is left out with this message, the first one is drawn."""
    return Case(name, second(value), SKIPPED, (f"odd.json: shapes[1]{place}: {reason}",))


def kept(name: str, **fields: Any) -> Case:
    return Case(f"shape {name}", shapes(dog(**fields)))


TOP = [
    *(
        Case(f"{name} {value!r}", field(name, value))
        for name in ("version", "flags", "foreign")
        for value in anything(None, 5, True, [], {}, "x", [None], 1e300)
    ),
    *(Case(f"no {name}", without(name)) for name in ("version", "flags", "imageData", "imageHeight", "imageWidth")),
    Case("imageHeight float", field("imageHeight", 24.0)),
    Case("imageHeight null", field("imageHeight", None)),
    Case("size beyond floats", field("imageHeight", 10**400), WARNED, ("odd.json: imageHeight, imageWidth: whole",)),
    *(
        Case(f"imageHeight {value!r}", field("imageHeight", value), WARNED, ("imageHeight, imageWidth: whole numbers",))
        for value in anything(0, -24, 24.5, "24", True, [], {}, INFINITE, float("nan"))
    ),
    *(
        Case(f"imageHeight {value!r}", field("imageHeight", value), ERROR, ("odd.json: imageHeight, imageWidth: the",))
        for value in anything(23, 25, 240, 10**18, 1e300, 10**300)
    ),
    *(
        Case(f"shapes {value!r}", field("shapes", value), ERROR, ("odd.json: shapes: a list is needed",))
        for value in anything(None, 5, True, {}, "[]", 1.5)
    ),
    Case("shapes empty", field("shapes", []), drawn=()),
    Case("shapes of nothing but rubbish", field("shapes", [None, 3, "x", []]), SKIPPED, drawn=()),
    *(
        Case(f"imagePath {value!r}", field("imagePath", value), ERROR, ("odd.json: imagePath: text is needed",))
        for value in anything(5, True, [], {}, ["odd.jpg"], 0)
    ),
    *(
        Case(f"imagePath {value!r}", field("imagePath", value), WARNED, ("imagePath: ", "used odd.jpg beside it"))
        for value in anything(
            None, "", "gone.jpg", "odd.jpg ", "odd", ".", "..", "/", "\\", "odd.jpg/", "http://x/y.jpg"
        )
    ),
    *(
        Case(f"imageData {value!r}", field("imageData", value), ERROR, ("odd.json: imageData: ",))
        for value in anything(5, True, ["x"], {"a": 1}, 1.5, "%%%", "YQ", "  ")
    ),
    *(Case(f"imageData {value!r}", field("imageData", value)) for value in anything(None, "", False, 0, [], {})),
]

SHAPES = [
    *(skipped(f"shape {value!r}", value, "", "an object is needed") for value in anything(None, 5, "x", [], True, 1.5)),
    skipped("no label", NO_LABEL, ".label", "text is needed, got None"),
    *(
        skipped(f"label {value!r}", dog(label=value), ".label", "text is needed")
        for value in anything(
            None, True, [], {}, "", " \t\n", ["dog"], "\ufeff", "\u200b", "\x00", float("nan"), INFINITE
        )
    ),
    skipped("label of a hundred thousand numbers", dog(label=[1] * 100_000), ".label", "text is needed"),
    skipped("label with half a character", dog(label="\ud800"), ".label", "'\\ud800' holds half a character"),
    *(
        skipped(f"shape_type {str(value)[:20]!r}", dog(kind=value), ".shape_type", "")
        for value in anything(5, True, [], {}, ["polygon"], "Polygon", "blob", "POLYGON ", "cuboid", "x" * 100_000)
    ),
    skipped("shape_type of numbers", dog(kind=[1] * 100_000), ".shape_type", ""),
    *(Case(f"shape_type {value!r}", shapes(dog(kind=value))) for value in anything(None, "", "polygon")),
    *(
        skipped(f"points {value!r}", dog() | {"points": value}, ".points", "a list of [x, y] is needed")
        for value in anything(None, 5, True, "1,2", {}, {"x": 1}, 1.5)
    ),
    *(
        skipped(f"point {str(value)[:20]}", dog([[1, 2], value, [3, 4]]), ".points[1]", "two finite numbers are needed")
        for value in anything(
            None,
            5,
            "1,2",
            [],
            [1],
            [1, 2, 3],
            ["1", "2"],
            [None, 1],
            [True, 1],
            {"x": 1, "y": 2},
            [[1, 2]],
            [float("nan"), 1],
            [1, -INFINITE],
            [1, 10**400],
            [1] * 100_000,
        )
    ),
    *(kept(f"group_id {value!r}", group_id=value) for value in anything(None, 0, -1, 7, 2**70, 3.0, 10**20)),
    *(
        Case(
            f"group_id {str(value)[:20]!r}",
            shapes(dog(group_id=value)),
            WARNED,
            ("shapes[0].group_id: a whole number",),
        )
        for value in anything("1", True, 1.5, [], {}, INFINITE, "x" * 100_000)
    ),
    *(kept(f"description {value!r}", description=value) for value in anything(None, "", 5, [], {}, "x\ny", True)),
    *(kept(f"flags {value!r}", flags=value) for value in anything(None, [], "x", 5, {"a": 1})),
    *(kept(f"mask {value!r} on a polygon", mask=value) for value in anything(None, "", "rubbish", 5, [], {})),
    kept("extra fields", locked=True, score=0.5, attributes={}, kie_linking=[], difficult=None, line_color=[1, 2]),
    Case("label a number", shapes(dog(label=7)), drawn=[("polygon", TRIANGLE[1], 1)]),
    Case("label true beside", second(dog(label=True)), SKIPPED, ("got True",)),
    Case(
        "blanks around a label", shapes(dog(label=" dog\n")), WARNED, ("shapes[0].label: ' dog\\n' is read as 'dog'",)
    ),
    Case(
        "a command to the terminal in a label", shapes(dog(label="do\x1bg")), WARNED, ("'do\\x1bg' is read as 'dog'",)
    ),
    Case("a mark without width in a label", shapes(dog(label="d\u200bog")), WARNED, ("is read as 'dog'",)),
]


@pytest.mark.parametrize(**named([*TOP, *SHAPES]))
def test_types(tmp_path: Path, case: Case) -> None:
    report = run(case, tmp_path)
    if case.outcome == SILENT and case.name != "label a number" and case.drawn:
        assert report.shapes == {"cat": 1, "dog": 1}
