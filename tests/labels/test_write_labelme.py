"""What is written opens in labelme, and is what was meant."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.annotations import SIZE, encoded, picture
from tests.oracles import labelme_read
from toolkit.errors import AnnotationError
from toolkit.labels.annotation import Annotation, Shape, clean_label
from toolkit.labels.labelme import read_labelme
from toolkit.labels.labelme_write import write_labelme

POINT_COUNTS = {
    "polygon": (3, 6),
    "rectangle": (2, 2),
    "circle": (2, 2),
    "line": (2, 2),
    "linestrip": (2, 6),
    "point": (1, 1),
    "oriented_rectangle": (4, 4),
    "mask": (2, 2),
}
BITMAP = np.array([[0, 1, 1], [1, 1, 0]], np.bool_)


@st.composite
def any_shapes(draw: st.DrawFn) -> Shape:
    kind = draw(st.sampled_from(sorted(POINT_COUNTS)))
    fewest, most = POINT_COUNTS[kind]
    value = st.floats(-1e6, 1e6)
    word = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
    label = draw(word.map(clean_label).filter(bool))
    return Shape(
        label=label,
        kind=kind,
        points=tuple(draw(st.lists(st.tuples(value, value), min_size=fewest, max_size=most))),
        group_id=draw(st.none() | st.integers(-5, 5)),
        bitmap=BITMAP if kind == "mask" else None,
        text=draw(st.text(st.characters(codec="utf-8"), max_size=5)),
    )


@settings(
    deadline=None, derandomize=True, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(any_shapes(), max_size=5))
def test_written_and_read_back_by_seg_and_by_labelme(tmp_path: Path, shapes: list[Shape]) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(picture()))
    path = tmp_path / "a.json"
    write_labelme(Annotation(path, "a.jpg", SIZE, tuple(shapes)), path)

    mine = read_labelme(path)
    assert mine is not None
    left_out = [finding for finding in mine.findings if finding.code != "mask-size"]
    assert (mine.image, mine.size, left_out) == ("a.jpg", SIZE, [])
    theirs = labelme_read(path)
    assert theirs.image_data == encoded(picture())
    assert theirs.flags == {}
    for shape, back, item in zip(shapes, mine.shapes, theirs.shapes, strict=True):
        assert (back.label, back.kind, back.points) == (shape.label, shape.kind, shape.points)
        assert (back.group_id, back.text) == (shape.group_id, shape.text)
        assert (item["label"], item["shape_type"], item["group_id"]) == (shape.label, shape.kind, shape.group_id)
        assert item["points"] == [list(point) for point in shape.points]
        if shape.bitmap is not None:
            np.testing.assert_array_equal(back.bitmap, shape.bitmap)
            np.testing.assert_array_equal(item["mask"], shape.bitmap)


def test_what_labelme_7_insists_on(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    box = ((1.0, 2.0), (3.0, 3.0))
    shapes = (Shape("cat", "rectangle", box), Shape("cat", "mask", box, bitmap=BITMAP))
    write_labelme(Annotation(path, "a.jpg", SIZE, shapes), path)
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert set(raw) == {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"}
    assert (raw["flags"], raw["imageData"], raw["imageHeight"], raw["imageWidth"]) == ({}, None, *SIZE)
    assert [type(shape["mask"]) for shape in raw["shapes"]] == [type(None), str]
    for shape in raw["shapes"]:
        assert set(shape) == {"label", "points", "group_id", "description", "shape_type", "flags", "mask"}
        assert shape["flags"] == {}


def test_written_like_labelme_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "ä.json"
    shapes = (Shape("katze ä", "polygon", ((1.0, 2.5), (3.0, 3.0), (0.0, 7.25)), text='a "b"'),)
    write_labelme(Annotation(path, "ä.jpg", SIZE, shapes), path, flags={"predicted": True})
    text = path.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    assert json.loads(text)["flags"] == {"predicted": True}
    assert json.loads(text)["shapes"][0]["points"] == [[1.0, 2.5], [3.0, 3.0], [0.0, 7.25]]


def test_a_file_name_that_is_no_text_and_an_endless_group_id_are_written_too(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    shape = Shape("cat", "point", ((1.0, 2.0),), group_id=10**30)
    write_labelme(Annotation(path, "\udcff.jpg", SIZE, (shape,)), path)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert (content["imagePath"], content["shapes"][0]["group_id"]) == ("\udcff.jpg", 10**30)


@pytest.mark.parametrize(("image", "size"), [(None, SIZE), (b"bytes", SIZE), ("a.jpg", None)])
def test_refuses_to_write_what_labelme_could_not_open(
    tmp_path: Path, image: str | bytes | None, size: tuple[int, int] | None
) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(AnnotationError, match=r"a\.json: an annotation needs its image's path and size"):
        write_labelme(Annotation(path, image, size, ()), path)
    assert not path.exists()
