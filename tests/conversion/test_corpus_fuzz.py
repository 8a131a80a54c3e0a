"""Random documents that look like labelme's: nothing but deliberate errors, and both ways of reading agree."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.annotations import Json, annotated, content, encoded, picture
from tests.conversion.cases import assert_neighbour_is_whole, png_text
from toolkit.conversion.convert import convert
from toolkit.conversion.options import LabelOptions
from toolkit.errors import AnnotationError
from toolkit.labels import labelme
from toolkit.labels.annotation import KINDS, Annotation
from toolkit.labels.labelme import parse_labelme

MASK = png_text(np.ones((3, 4), np.uint8))
PHOTO = png_text(picture())

KIND = st.sampled_from((*KINDS, None, "", "rotation", "blob"))
ORDINARY = st.floats(-40, 60, width=32) | st.integers(-40, 60)
ODD_NUMBER = st.sampled_from(
    (0, -0.0, 1e6, -1e6, 1e6 + 1, 1e12, 1e308, 10**30, 10**400, 5e-324, 2**31, 2**63, 2**64, 0.5)
)
NOT_FINITE = st.sampled_from((float("nan"), float("inf"), -float("inf")))
POINT = st.tuples(ORDINARY, ORDINARY).map(list)
ODD_POINT = st.lists(ORDINARY | ODD_NUMBER | NOT_FINITE | st.none() | st.booleans() | st.text(max_size=2), max_size=3)
COUNTS = {"circle": 2, "line": 2, "point": 1, "mask": 2, "oriented_rectangle": 4, "rotation": 4, "rectangle": 2}
RUBBISH = st.recursive(
    st.none() | st.booleans() | ODD_NUMBER | NOT_FINITE | st.text(max_size=5) | st.sampled_from(("\ud800", "\0", MASK)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def good_shapes(draw: st.DrawFn) -> Json:
    """What the quick way takes, and most of it can be drawn."""
    kind = draw(KIND)
    count = COUNTS.get(str(kind)) or draw(st.integers(3, 6))
    return {
        "label": draw(st.sampled_from(("cat", "dog", " dog ", "\u732b", "__ignore__", "_background_", "Cat"))),
        "points": draw(st.lists(POINT, min_size=count, max_size=count)),
        "group_id": draw(st.sampled_from((None, 0, 1, 7))),
        "description": draw(st.sampled_from((None, "", "left"))),
        "shape_type": kind,
        "flags": {},
        "mask": MASK if kind == "mask" else None,
    }


@st.composite
def shapes(draw: st.DrawFn) -> Any:
    item = draw(good_shapes())
    change = draw(st.sampled_from(("none", "none", "field", "missing", "points", "all")))
    if change == "field":
        item[draw(st.sampled_from(sorted(item)))] = draw(RUBBISH)
    elif change == "missing":
        del item[draw(st.sampled_from(sorted(item)))]
    elif change == "points":
        item["points"] = draw(st.lists(POINT | ODD_POINT, max_size=5))
    return draw(RUBBISH) if change == "all" else item


@st.composite
def documents(draw: st.DrawFn) -> Any:
    value = content(draw(st.lists(shapes(), max_size=5)), "odd.jpg")
    change = draw(st.sampled_from(("none", "none", "field", "missing", "embedded", "all")))
    if change == "field":
        value[draw(st.sampled_from(sorted(value)))] = draw(RUBBISH)
    elif change == "missing":
        del value[draw(st.sampled_from(sorted(value)))]
    elif change == "embedded":
        value["imageData"] = PHOTO
    return draw(RUBBISH) if change == "all" else value


@settings(
    deadline=5000, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(documents=st.lists(documents(), min_size=1, max_size=4), options=st.sampled_from(({}, {"rescale": True})))
def test_no_document_stops_its_neighbours(tmp_path: Path, documents: list[Any], options: dict[str, Any]) -> None:
    shutil.rmtree(tmp_path / "in", ignore_errors=True)
    shutil.rmtree(tmp_path / "voc", ignore_errors=True)
    annotated(tmp_path / "in", "good")
    (tmp_path / "in" / "odd.jpg").write_bytes(encoded(picture(1)))
    for index, value in enumerate(documents):
        (tmp_path / "in" / f"odd_{index}.json").write_text(json.dumps(value))
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    lenient = LabelOptions(unknown="ignore")
    report = convert(
        tmp_path / "in", tmp_path / "voc", labels=tmp_path / "labels.txt", label_options=lenient, **options
    )
    assert_neighbour_is_whole(tmp_path / "voc")
    failed = {Path(failure.place).name for failure in report.failures}
    foreign = {path.name for path in report.not_labelme}
    masks = {path.stem for path in (tmp_path / "voc" / "SegmentationClass").iterdir()}
    for index in range(len(documents)):
        name = f"odd_{index}"
        assert (f"{name}.json" in failed) + (f"{name}.json" in foreign) + (name in masks) == 1
    assert report.images == len(masks)
    json.loads((tmp_path / "voc" / "report.json").read_text(encoding="utf-8"))


class Refuses:
    """In place of the decoder by types: takes nothing, so that the slow way has to do it."""

    def decode(self, data: bytes) -> Any:
        raise msgspec.ValidationError


def both_ways(path: Path, data: bytes) -> tuple[Any, Any]:
    """What comes out of the quick way and of the slow way; the error text if that is what comes out."""
    out: list[Any] = []
    for decoder in (labelme._DECODER, Refuses()):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(labelme, "_DECODER", decoder)
            try:
                out.append(parse_labelme(path, data))
            except AnnotationError as error:
                out.append(str(error))
    return out[0], out[1]


def plain(annotation: Annotation | str | None) -> Any:
    """Comparable with ==: bitmaps as lists, numbers with their signs."""
    if not isinstance(annotation, Annotation):
        return annotation
    items = [
        (s.label, s.kind, repr(s.points), s.group_id, None if s.bitmap is None else s.bitmap.tolist(), s.text, s.number)
        for s in annotation.shapes
    ]
    head = (annotation.image, annotation.recorded, annotation.size, annotation.version)
    return (*head, items, [str(finding) for finding in annotation.findings])


@settings(deadline=5000, derandomize=True, max_examples=250)
@given(documents())
@example(content([], "odd.jpg"))
@example(content([], "odd.jpg", imageData="%%%"))
@example(content([], None))
def test_both_ways_of_reading_agree(value: Any) -> None:
    quick, slow = both_ways(Path("odd.json"), json.dumps(value).encode())
    assert plain(quick) == plain(slow)


TEXTS = (
    '{"shapes": [], "imagePath": "a.jpg", "shapes": []}',
    '{"imagePath": "a.jpg", "imagePath": "b.jpg", "shapes": []}',
    '{"shapes": [{"label": "a", "label": "b", "points": [[1, 2]], "shape_type": "point"}], "imagePath": "a"}',
    '{"shapes": [{"label": "\\u732b\\ud83d\\udc31\\n", "points": [[1e0, -0]], "shape_type": "point"}], "imagePath": "a"}',
    '{"shapes": [{"label": "a", "points": [[0.1, 1E-7], [1.7976931348623157e300, 3]], "shape_type": "line"}], "imagePath": ""}',
    '{"shapes": [{"label": "a", "points": [[0.30000000000000004, 123456.78901234567]], "shape_type": "point"}], "imagePath": "a"}',
    '{"shapes": [], "imagePath": "a\\\\b\\/c.jpg", "imageHeight": 3.0, "imageWidth": 4}',
    '{"shapes": [], "imagePath": null, "imageData": null, "imageHeight": 3, "imageWidth": 1e0}',
    '\n\t {"shapes" : [ ] , "imageData" : "" } \n',
    '{"shapes": [], "imageData": "aGVs\\nbG8="}',
    '{"shapes": [], "imageData": "data:image/png;base64,aGVsbG8"}',
    '{"shapes": [], "imageData": "aGVsbG8=\\u0020"}',
    '{"shapes": [], "imagePath": "a", "imageHeight": 24.0, "imageWidth": -0}',
    '{"shapes": [], "imagePath": "a", "version": "\\u0000"}',
    '{"shapes": [{"label": "a", "points": [[1, 2]], "shape_type": "point", "group_id": 123456789012345678901234567890}], "imagePath": "a"}',
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_both_ways_agree_on_unusual_text(text: str) -> None:
    quick, slow = both_ways(Path("odd.json"), text.encode())
    assert quick is not None
    assert plain(quick) == plain(slow)


@settings(deadline=5000, derandomize=True, max_examples=300)
@given(
    documents(), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4), st.booleans()
)
def test_bytes_changed_anywhere(value: Any, changes: list[tuple[int, int]], cut: bool) -> None:
    data = bytearray(json.dumps(value).encode())
    for at, byte in changes:
        data[at % len(data)] = byte
    if cut:
        del data[changes[0][0] % len(data) :]
    quick, slow = both_ways(Path("odd.json"), bytes(data))
    if not isinstance(slow, str):
        assert plain(quick) == plain(slow)
