"""Reading what labelme 2 to 7 and its relatives wrote, and what is wrong with the rest."""

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.annotations import SIZE, Json, content, encoded, picture, shape, write_json
from toolkit.errors import AnnotationError
from toolkit.labels.annotation import Annotation, Shape
from toolkit.labels.labelme import is_annotation_file, read_labelme
from toolkit.labels.raster import draw_classes

TRIANGLE = ((2.0, 3.0), (20.0, 3.0), (11.5, 18.0))


def read(path: Path) -> Annotation:
    annotation = read_labelme(path)
    assert annotation is not None
    return annotation


def read_json(folder: Path, value: Any) -> Annotation:
    return read(write_json(folder / "a.json", value))


def base64_png(bitmap: Any) -> str:
    return base64.b64encode(encoded(np.asarray(bitmap, np.uint8), "PNG")).decode()


JPEG_TEXT = base64.b64encode(encoded(picture())).decode()

VERSIONS: dict[str, Json] = {
    "2.x": {
        "shapes": [
            {"label": "cat", "line_color": None, "fill_color": [1, 2, 3, 4], "points": [list(p) for p in TRIANGLE]}
        ],
        "lineColor": [0, 255, 0, 128],
        "fillColor": [255, 0, 0, 128],
        "imagePath": "a.jpg",
        "imageData": JPEG_TEXT,
    },
    "3.3": {
        "flags": [],
        "shapes": [{"label": "cat", "line_color": None, "fill_color": None, "points": [list(p) for p in TRIANGLE]}],
        "lineColor": [0, 255, 0, 128],
        "fillColor": [255, 0, 0, 128],
        "imagePath": "a.jpg",
        "imageData": JPEG_TEXT,
    },
    "3.16": content(
        [
            {
                "label": "cat",
                "line_color": None,
                "points": [list(p) for p in TRIANGLE],
                "shape_type": "polygon",
                "flags": {},
            }
        ],
        version="3.16.7",
        imageData=JPEG_TEXT,
    ),
    "4.5": content(
        [
            {
                "label": "cat",
                "points": [list(p) for p in TRIANGLE],
                "group_id": None,
                "shape_type": "polygon",
                "flags": {},
            }
        ],
        version="4.5.6",
        imageData=JPEG_TEXT,
    ),
    "5.5": content([shape()], imageData=JPEG_TEXT),
    "7.9": content([shape(locked=True)], version="7.9.1", imageData=JPEG_TEXT),
    "relative": content(
        [shape(shape_type="polygon", score=0.9, difficult=False, attributes={}, kie_linking=[])],
        version="0.3.3",
        imageData=JPEG_TEXT,
        text="",
        foreign={"a": [1]},
    ),
}


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_every_version_gives_the_same_annotation(tmp_path: Path, version: str) -> None:
    annotation = read_json(tmp_path, VERSIONS[version])
    assert annotation.shapes == (Shape("cat", "polygon", TRIANGLE),)
    assert annotation.image == encoded(picture())
    assert annotation.size == (SIZE if "imageHeight" in VERSIONS[version] else None)
    assert annotation.findings == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.json"
    text = json.dumps(content([shape("Kätzchen 猫")]), ensure_ascii=False)
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    path.write_bytes(mark + text.encode(encoding))
    assert read(path).shapes[0].label == "Kätzchen 猫"


def test_group_description_and_recorded_path_are_kept(tmp_path: Path) -> None:
    annotation = read_json(tmp_path, content([shape(group_id=3, description="left one")], "..\\pics\\a.jpg"))
    assert annotation.shapes[0].group_id == 3
    assert annotation.shapes[0].text == "left one"
    assert annotation.image == "..\\pics\\a.jpg"
    assert annotation.version == "5.5.0"


def test_labels_lose_surrounding_and_doubled_blanks(tmp_path: Path) -> None:
    annotation = read_json(tmp_path, content([shape(" traffic \n light\t"), shape(7)]))
    assert [item.label for item in annotation.shapes] == ["traffic light", "7"]


def test_four_cornered_and_turned_rectangles_of_other_programs(tmp_path: Path) -> None:
    corners = [[2, 2], [12, 2], [12, 9], [2, 9]]
    annotation = read_json(
        tmp_path, content([shape(points=corners, kind="rectangle"), shape(points=corners, kind="rotation")])
    )
    assert [draw_classes([(item, 1)], SIZE).sum() for item in annotation.shapes] == [11 * 8, 11 * 8]


def test_a_mask_shape_holds_its_bitmap(tmp_path: Path) -> None:
    bitmap = [[0, 1, 1], [1, 0, 1]]
    for scale in (1, 255):
        item = shape(points=[[4, 5], [6, 6]], kind="mask", mask=base64_png(np.array(bitmap) * scale))
        mask = draw_classes([(read_json(tmp_path, content([item])).shapes[0], 1)], SIZE)
        np.testing.assert_array_equal(mask[5:7, 4:7], bitmap)
        assert mask.sum() == 4


def huge_png() -> str:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")).decode()


BAD_SHAPES: list[tuple[str, Any, str, str]] = [
    ("an object", "text", "", "an object is needed, got text"),
    ("no label", {k: v for k, v in shape().items() if k != "label"}, ".label", "text is needed, got None"),
    ("empty label", shape("  "), ".label", "text is needed"),
    ("label true", shape(label=True), ".label", "got True"),
    ("unknown kind", shape(kind="blob"), ".shape_type", "'blob' is not one of polygon"),
    ("kind list", shape(kind=["polygon"]), ".shape_type", "is not one of"),
    ("points text", shape(points="2,3"), ".points", "a list of [x, y] is needed, got text"),
    ("no points", shape(points=[]), ".points", "a polygon needs 3 points or more, got 0"),
    ("two points", shape(points=[[1, 2], [3, 4]]), ".points", "a polygon needs 3 points or more, got 2"),
    ("one corner", shape(points=[[1, 2]], kind="rectangle"), ".points", "a rectangle needs 2 points, got 1"),
    ("circle", shape(points=[[1, 2]] * 3, kind="circle"), ".points", "a circle needs 2 points, got 3"),
    ("line", shape(points=[[1, 2]], kind="line"), ".points", "a line needs 2 points, got 1"),
    ("point", shape(points=[[1, 2]] * 2, kind="point"), ".points", "a point needs 1 point, got 2"),
    ("oriented", shape(points=[[1, 2]] * 3, kind="oriented_rectangle"), ".points", "needs 4 points, got 3"),
    ("nan", shape(points=[[1, 2], [3, float("nan")], [5, 6]]), ".points[1]", "two finite numbers are needed"),
    ("infinity", shape(points=[[float("inf"), 2], [3, 4], [5, 6]]), ".points[0]", "two finite numbers are needed"),
    ("true", shape(points=[[1, 2], [3, 4], [True, 6]]), ".points[2]", "two finite numbers are needed"),
    ("three", shape(points=[[1, 2, 3], [3, 4], [5, 6]]), ".points[0]", "two finite numbers are needed"),
    ("text", shape(points=[["1", 2], [3, 4], [5, 6]]), ".points[0]", "two finite numbers are needed"),
    ("far", shape(points=[[1, 2], [1e12, 4], [5, 6]]), ".points[1]", "more than a million pixels away"),
    ("digits", shape(points=[[1, 2], [10**400, 4], [5, 6]]), ".points[1]", "two finite numbers are needed"),
    ("no bitmap", shape(points=[[1, 2], [3, 4]], kind="mask"), ".mask", "a mask shape needs its picture"),
    ("base64", shape(points=[[1, 2], [3, 4]], kind="mask", mask="*"), ".mask", "the picture cannot be read"),
    ("bitmap", shape(points=[[1, 2], [3, 4]], kind="mask", mask="aGVsbG8="), ".mask", "the picture cannot be read"),
    ("rgb", shape(points=[[1, 2], [3, 4]], kind="mask", mask=base64_png(picture())), ".mask", "one channel is needed"),
    ("huge", shape(points=[[1, 2], [3, 4]], kind="mask", mask=huge_png()), ".mask", "60000 x 60000 pixels"),
]


@pytest.mark.parametrize(("bad", "field", "reason"), [c[1:] for c in BAD_SHAPES], ids=[c[0] for c in BAD_SHAPES])
def test_a_bad_shape_is_named_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: Any, field: str, reason: str
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as labelme sets it for the whole program
    annotation = read_json(tmp_path, content([shape("first"), bad, shape("last")]))
    assert [item.label for item in annotation.shapes] == ["first", "last"]
    (skipped,) = annotation.findings
    assert skipped.place == f"{tmp_path / 'a.json'}: shapes[1]{field}"
    assert reason in skipped.reason
    assert skipped.reason.endswith("shape skipped.")


@pytest.mark.parametrize(("height", "width"), [(0, 5), (-3, 5), (2.5, 5), ("24", 36), (True, 36), (float("nan"), 5)])
def test_an_impossible_size_is_said_and_not_used(tmp_path: Path, height: Any, width: Any) -> None:
    annotation = read_json(tmp_path, content([shape()], imageHeight=height, imageWidth=width))
    assert annotation.size is None
    assert annotation.shapes
    assert "imageHeight, imageWidth" in annotation.findings[0].place


def test_a_missing_size_is_nothing_to_complain_about(tmp_path: Path) -> None:
    annotation = read_json(tmp_path, content([shape()], imageHeight=None, imageWidth=None))
    assert (annotation.size, annotation.findings) == (None, ())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"shapes": [],\n "imagePath": "a" "b"}', "line 2 column 19: not valid JSON"),
        (b'{"shapes": [', "line 1 column 13: not valid JSON"),
        (b"", "is empty"),
        (b"\x00\x00\x00", "is empty"),
        (b'{"shapes": [], "imagePath": "\xff"}', "is not valid UTF-8 text"),
        (b"[" * 200_000, "not an annotation"),
        (b'{"shapes": 5, "imagePath": "a"}', "shapes: a list is needed, got a number"),
        (b'{"shapes": null, "imagePath": "a"}', "shapes: a list is needed, got nothing"),
        (b'{"shapes": [], "imagePath": ["a"]}', "imagePath: text is needed, got a list"),
        (b'{"shapes": [], "imageData": 3}', "imageData: base64 text or null is needed, got a number"),
        (b'{"shapes": [], "imageData": "ab*c"}', "imageData: not valid base64"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(AnnotationError) as raised:
        read_labelme(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "value",
    [
        {"images": [], "annotations": [], "categories": []},
        {"shapes": []},
        {"imagePath": "a.jpg"},
        [content([shape()])],
        None,
        3,
        "shapes",
    ],
)
def test_json_of_another_kind_is_none(tmp_path: Path, value: Any) -> None:
    assert read_labelme(write_json(tmp_path / "a.json", value)) is None


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"gone\.json: cannot be read"):
        read_labelme(tmp_path / "gone.json")


def test_which_names_are_annotations(tmp_path: Path) -> None:
    for name in ("a.json", "B.JSON", "._a.json", "a.json.tmp", "a.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.json").mkdir()
    assert {path.name for path in tmp_path.iterdir() if is_annotation_file(path)} == {"a.json", "B.JSON"}


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**320), 10**320)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=8)
    | st.sampled_from(("polygon", "mask", "circle", "rectangle", "rotation", "points", JPEG_TEXT, base64_png([[1]]))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
TOP_FIELDS = ("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth")
SHAPE_FIELDS = ("label", "points", "group_id", "description", "shape_type", "flags", "mask")


@settings(
    deadline=None, derandomize=True, max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    top=st.dictionaries(st.sampled_from(TOP_FIELDS), ANYTHING, max_size=3),
    fields=st.dictionaries(st.sampled_from(SHAPE_FIELDS), ANYTHING, max_size=3),
    point=ANYTHING,
)
def test_anything_in_any_field_gives_an_annotation_or_its_error(
    tmp_path: Path, top: Json, fields: Json, point: Any
) -> None:
    bad = [shape() | fields, shape(points=[[1, 2], point, [3, 4]]), shape(points=[[point, 1], [5, 6], [7, 8]]), point]
    path = write_json(tmp_path / "a.json", content([*bad, shape("good")]) | top)
    try:
        annotation = read_labelme(path)
    except AnnotationError as error:
        assert str(error).startswith(f"{path}: ")
        return
    assert annotation is not None
    draw_classes([(item, 1) for item in annotation.shapes], SIZE)
    if "shapes" not in top:
        assert annotation.shapes[-1].label == "good"
        assert len(annotation.shapes) + len([s for s in annotation.findings if "shape skipped" in s.reason]) == 5


@settings(
    deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=60), encoding=st.sampled_from((b"", b"\xff\xfe", b"\xef\xbb\xbf", b'{"shapes":')))
def test_any_bytes_give_none_or_the_error(tmp_path: Path, data: bytes, encoding: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(encoding + data)
    try:
        assert read_labelme(path) is None
    except AnnotationError as error:
        assert str(error).startswith(f"{path}: ")
