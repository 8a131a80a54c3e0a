"""What covers what, what is hidden, instances, and the options that decide what is drawn."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.annotations import SIZE, annotated, content, encoded, picture, shape, write_json
from tests.conversion.cases import mask_of
from tests.oracles import labelme_label
from toolkit.conversion.convert import convert
from toolkit.conversion.options import LabelOptions
from toolkit.conversion.report import ConvertReport
from toolkit.errors import UsageError
from toolkit.labels.annotation import Shape

H, W = SIZE
LARGE = ("large", [[0, 0], [35, 23]], "rectangle")
SMALL = ("small", [[10, 8], [20, 14]], "rectangle")
DISC = ("disc", [[18, 12], [18, 5]], "circle")
HOLE = ("_background_", [[12, 10], [16, 12]], "rectangle")
LOST = ("__ignore__", [[0, 0], [5, 5]], "rectangle")
STRIP = ("strip", [[0, 20], [35, 20]], "line")
DOT = ("dot", [[30, 5]], "point")
ALL = [LARGE, SMALL, DISC, HOLE, LOST, STRIP, DOT]
NAMES = ["_background_", "disc", "dot", "large", "small", "strip"]
IDS = {name: index for index, name in enumerate(NAMES)} | {"__ignore__": -1}

Item = tuple[str, list[list[int]], str]


def converted(folder: Path, items: Sequence[Item], **options: Any) -> ConvertReport:
    annotated(folder / "in")
    write_json(folder / "in" / "a.json", content([shape(label, points, kind) for label, points, kind in items]))
    (folder / "labels.txt").write_text("\n".join(NAMES))
    return convert(folder / "in", folder / "voc", labels=folder / "labels.txt", **options)


def by_labelme(items: Sequence[Item]) -> Any:
    drawn = [Shape(label, kind, tuple((float(x), float(y)) for x, y in points)) for label, points, kind in items]
    classes, instances = labelme_label(drawn, SIZE, IDS)
    return np.where(classes == -1, 255, classes), np.where((classes == -1) | (classes == 0), 0, instances)


ORDERS: dict[str, tuple[dict[str, Any], Sequence[Item]]] = {
    "list": ({}, ALL),
    "list, turned round": ({}, ALL[::-1]),
    "area": ({"order": "area"}, [LARGE, STRIP, DISC, SMALL, DOT, LOST, HOLE]),
    "priority by class id": ({"order": "priority"}, [DISC, DOT, LARGE, SMALL, STRIP, HOLE, LOST]),
}


@pytest.mark.parametrize("name", sorted(ORDERS))
@pytest.mark.parametrize("reverse", [False, True])
def test_order(tmp_path: Path, name: str, reverse: bool) -> None:
    options, drawn = ORDERS[name]
    if name.startswith("list"):
        given = drawn = drawn[::-1] if reverse else drawn
    else:
        given = ALL[::-1] if reverse else ALL
    converted(tmp_path, given, **options)
    np.testing.assert_array_equal(mask_of(tmp_path / "voc", "a"), by_labelme(drawn)[0])


def test_priorities_of_the_user(tmp_path: Path) -> None:
    given = LabelOptions(priorities=(("large", 5.0), ("disc", -1.0), ("dot", 5.5)))
    converted(tmp_path, [DOT, LARGE, SMALL, DISC, HOLE], order="priority", label_options=given)
    expected, _ = by_labelme([DISC, SMALL, LARGE, DOT, HOLE])
    np.testing.assert_array_equal(mask_of(tmp_path / "voc", "a"), expected)


def test_priorities_of_a_list_and_of_the_command_line(tmp_path: Path) -> None:
    annotated(tmp_path / "in")
    items = [shape(label, points, kind) for label, points, kind in (LARGE, SMALL, DISC)]
    write_json(tmp_path / "in" / "a.json", content(items))
    (tmp_path / "l.yaml").write_text(
        "- disc\n- dot\n- {name: large, priority: 9}\n- {name: small, priority: 1}\n- strip\n"
    )
    options = LabelOptions(priorities=(("small", 10.0),))
    convert(tmp_path / "in", tmp_path / "voc", labels=tmp_path / "l.yaml", order="priority", label_options=options)
    np.testing.assert_array_equal(mask_of(tmp_path / "voc", "a"), by_labelme([DISC, LARGE, SMALL])[0])


def test_instances_are_labelmes(tmp_path: Path) -> None:
    converted(tmp_path, ALL)
    classes, instances = by_labelme(ALL)
    np.testing.assert_array_equal(mask_of(tmp_path / "voc", "a"), classes)
    np.testing.assert_array_equal(mask_of(tmp_path / "voc", "a", "SegmentationObject"), instances)


@pytest.mark.parametrize(
    ("items", "hidden"), [((SMALL, LARGE), [0]), ((SMALL, DISC, LARGE), [0, 1]), ((LARGE, SMALL), [])]
)
def test_hidden_shapes_are_said(tmp_path: Path, items: Sequence[Item], hidden: list[int]) -> None:
    report = converted(tmp_path, items)
    places = [f"{tmp_path / 'in' / 'a.json'}: shapes[{index}]" for index in hidden]
    assert [finding.place for finding in report.remarks] == places
    assert all("is covered completely by shapes over it" in str(finding) for finding in report.remarks)
    assert report.ok


GROUPS: dict[str, tuple[list[Any], list[int]]] = {
    "none": ([None, None, None, None], [1, 2, 3, 4]),
    "one": ([7, 7, 7, 7], [1, 1, 1, 1]),
    "pairs": ([1, 2, 1, 2], [1, 2, 1, 2]),
    "zero is a group": ([0, 0, None, 0], [1, 1, 2, 1]),
    "negative": ([-1, -1, None, None], [1, 1, 2, 3]),
    "large": ([10**12, 10**12, 1, 1], [1, 1, 2, 2]),
    "floats": ([3.0, 3, 3.0, 4.0], [1, 1, 1, 2]),
    "texts are none": (["1", "1", "2", None], [1, 2, 3, 4]),
}


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_groups(tmp_path: Path, name: str) -> None:
    groups, expected = GROUPS[name]
    annotated(tmp_path / "in")
    xs = (1, 9, 17, 25)
    items = [shape("cat", [[x, 2], [x + 3, 5]], "rectangle", group_id=g) for x, g in zip(xs, groups, strict=True)]
    write_json(tmp_path / "in" / "a.json", content(items))
    report = convert(tmp_path / "in", tmp_path / "voc")
    instances = mask_of(tmp_path / "voc", "a", "SegmentationObject")
    assert [int(instances[3, x + 1]) for x in xs] == expected
    assert ["group_id: a whole number" in str(finding) for finding in report.remarks] == [True] * (
        3 * ("texts" in name)
    )


@pytest.mark.parametrize("count", [253, 254, 255, 256, 300, 700])
def test_many_instances(tmp_path: Path, count: int) -> None:
    annotated(tmp_path / "in")
    places = [(i % 36, i // 36) for i in range(count)]
    write_json(tmp_path / "in" / "a.json", content([shape("cat", [[x, y]] * 2, "rectangle") for x, y in places]))
    report = convert(tmp_path / "in", tmp_path / "voc")
    instances = mask_of(tmp_path / "voc", "a", "SegmentationObject")
    assert [int(instances[y, x]) for x, y in places] == list(range(1, count + 1))
    with Image.open(tmp_path / "voc" / "SegmentationObject" / "a.png") as image:
        assert image.mode == ("P" if count <= 254 else "I;16")
    said = [f"has {count} instances; its instance mask is a 16-bit grey PNG" in str(f) for f in report.remarks]
    assert said == [True] * (count > 254)
    np.testing.assert_array_equal(mask_of(tmp_path / "voc", "a") > 0, instances > 0)


def test_ignored_shapes_are_no_instances(tmp_path: Path) -> None:
    annotated(tmp_path / "in")
    dots = [shape("__ignore__", [[i % 36, 5 + i // 36]] * 2, "rectangle") for i in range(300)]
    write_json(tmp_path / "in" / "a.json", content([shape("cat", [[0, 0], [3, 3]], "rectangle"), *dots]))
    assert convert(tmp_path / "in", tmp_path / "voc").remarks == ()
    assert mask_of(tmp_path / "voc", "a", "SegmentationObject").max() == 1


@pytest.mark.parametrize("width", [1, 2, 3, 10, 11, 50, 1000])
@pytest.mark.parametrize("kind", ["line", "linestrip"])
def test_line_width(tmp_path: Path, width: int, kind: str) -> None:
    points = [(3, 3), (30, 18)] if kind == "line" else [(3, 3), (30, 18), (5, 20)]
    annotated(tmp_path / "in")
    write_json(tmp_path / "in" / "a.json", content([shape("cat", [list(p) for p in points], kind)]))
    convert(tmp_path / "in", tmp_path / "voc", line_width=width)
    canvas = Image.new("L", (W, H))
    ImageDraw.Draw(canvas).line(points, fill=1, width=width, joint="curve" if kind == "linestrip" else None)
    np.testing.assert_array_equal(mask_of(tmp_path / "voc", "a"), np.array(canvas))


@pytest.mark.parametrize("radius", [0, 1, 5, 8, 1000])
def test_point_size(tmp_path: Path, radius: int) -> None:
    annotated(tmp_path / "in")
    write_json(tmp_path / "in" / "a.json", content([shape("cat", [[18, 12]], "point")]))
    report = convert(tmp_path / "in", tmp_path / "voc", point_size=radius)
    canvas = Image.new("L", (W, H))
    ImageDraw.Draw(canvas).ellipse((18 - radius, 12 - radius, 18 + radius, 12 + radius), fill=1, outline=1)
    np.testing.assert_array_equal(mask_of(tmp_path / "voc", "a"), np.array(canvas))
    assert bool(report.remarks) == (not np.array(canvas).any())


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"line_width": 0}, "line width: 1 to 1000 pixels are possible, got 0"),
    ({"line_width": 1001}, "line width"),
    ({"point_size": -1}, "point size: 0 to 1000"),
    ({"point_size": 10**9}, "point size"),
    ({"order": "size"}, "order 'size' is not known"),
    ({"order": "lst"}, "Did you mean 'list'"),
    ({"image_format": "jpeg"}, "Did you mean 'jpg'"),
    ({"max_megapixels": 0}, "max megapixels: a number above 0"),
    ({"max_megapixels": -5}, "max megapixels: a number above 0"),
    ({"max_megapixels": float("nan")}, "max megapixels: a number above 0"),
    ({"max_megapixels": float("inf")}, "max megapixels: a number above 0"),
    ({"encoding": "gb18031"}, "encoding 'gb18031' is not known"),
    ({"encoding": "base64"}, "encoding 'base64' is not known"),
    ({"encoding": "undefined"}, "encoding 'undefined' is not known"),
    ({"update": True, "overwrite": True}, "contradict"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[str(case[0]) for case in WRONG])
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    annotated(tmp_path / "in")
    with pytest.raises(UsageError, match=message):
        convert(tmp_path / "in", tmp_path / "voc", **options)
    assert not (tmp_path / "voc").exists()


def test_without_instances(tmp_path: Path) -> None:
    annotated(tmp_path / "in")
    convert(tmp_path / "in", tmp_path / "voc", instances=False)
    assert not (tmp_path / "voc" / "SegmentationObject").exists()


def test_strict_stops_at_the_first(tmp_path: Path) -> None:
    annotated(tmp_path / "in")
    (tmp_path / "in" / "bad.json").write_text("{")
    with pytest.raises(Exception, match=r"bad\.json: line 1"):
        convert(tmp_path / "in", tmp_path / "voc", strict=True)
    assert not (tmp_path / "voc").exists()


def test_the_report_counts_every_pixel(tmp_path: Path) -> None:
    report = converted(tmp_path, ALL)
    mask = mask_of(tmp_path / "voc", "a")
    counts = {name: int((mask == index).sum()) for index, name in enumerate(NAMES)}
    assert report.pixels == counts | {"__ignore__": int((mask == 255).sum())}
    assert json.loads((tmp_path / "voc" / "report.json").read_text())["pixels"] == report.pixels
    assert encoded(picture()) == (tmp_path / "voc" / "JPEGImages" / "a.jpg").read_bytes()
