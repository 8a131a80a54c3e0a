"""One odd annotation beside a good one, converted, and everything checked that holds for all of them.

The odd one is called `odd`, its label `dog`; the good one `good`, its label `cat`. Expected masks are drawn by
labelme.
"""

import base64
import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.annotations import SIZE, Json, annotated, content, encoded, picture, shape
from tests.oracles import labelme_label
from toolkit.conversion.convert import convert
from toolkit.conversion.report import ConvertReport
from toolkit.findings import Finding
from toolkit.labels.annotation import Shape
from toolkit.labels.classmap import voc_palette

H, W = SIZE
Kind = tuple[str, list[list[float]]]
TRIANGLE: Kind = ("polygon", [[2, 3], [20, 3], [11.5, 18]])
BOX: Kind = ("rectangle", [[4, 2], [20, 9]])

Drawn = tuple[str, Sequence[Sequence[float]]] | tuple[str, Sequence[Sequence[float]], int]
"""Kind, points, and the class id if it is not that of `dog`."""

SILENT = "converted silently"
WARNED = "converted with a warning"
SKIPPED = "shape skipped with a warning"
FOREIGN = "not an annotation, said once"
ERROR = "refused"
IGNORED = "not looked at"

_SLOWEST = 5.0  # seconds


@dataclass(frozen=True)
class Case:
    """One odd input.

    make      puts it into a folder
    outcome   SILENT, WARNED, ...
    says      texts, each of which stands in one message about the odd file
    drawn     what its mask shows if it is converted, in drawing order; None: not checked
    options   of convert
    """

    name: str
    make: Callable[[Path], object]
    outcome: str = SILENT
    says: tuple[str, ...] = ()
    drawn: Sequence[Drawn] | None = (TRIANGLE,)
    options: dict[str, Any] = field(default_factory=dict)


def named(cases: Sequence[Case]) -> dict[str, Any]:
    """Arguments of `parametrize`; refuses two cases of one name."""
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)
    return {"argnames": "case", "argvalues": cases, "ids": names}


def run(case: Case, folder: Path) -> ConvertReport:
    """Convert the case and check that it came out as it says, and its neighbour whole."""
    source, out = folder / "in", folder / "voc"
    annotated(source, "good")
    case.make(source)
    before = {path for path in folder.rglob("*") if path.is_file()}
    began = time.monotonic()
    report = convert(source, out, **case.options)
    assert time.monotonic() - began < _SLOWEST
    assert_neighbour_is_whole(out)
    new = {path for path in folder.rglob("*") if path.is_file()} - before
    assert all(out in path.parents for path in new)
    assert not [path for path in new if "partial" in path.name]
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == report.as_dict()
    check_outcome(case, report, source)
    if case.drawn is not None and case.outcome in (SILENT, WARNED, SKIPPED):
        np.testing.assert_array_equal(mask_of(out, "odd"), drawn_by_labelme(case.drawn, mask_of(out, "odd").shape))
    return report


def check_outcome(case: Case, report: ConvertReport, source: Path) -> None:
    odd = str(source / "odd")
    said = [*report.remarks, *report.failures]
    assert all(finding.place.startswith(odd) for finding in said), said
    for text in case.says:
        assert any(text in str(finding) for finding in said), (text, [str(finding) for finding in said])
    converted = case.outcome in (SILENT, WARNED, SKIPPED)
    assert report.images == 1 + converted, [str(finding) for finding in said]
    assert [Path(finding.place).stem for finding in report.failures] == ["odd"] * (case.outcome == ERROR)
    assert [path.stem for path in report.not_labelme] == ["odd"] * (case.outcome == FOREIGN)
    assert bool(report.remarks) == (case.outcome in (WARNED, SKIPPED)), [str(finding) for finding in report.remarks]
    assert any(is_skip(finding) for finding in report.remarks) == (case.outcome == SKIPPED)
    assert all(len(str(finding)) < 800 for finding in said)
    assert (report.root / "SegmentationClass" / "odd.png").exists() == converted
    assert (len(list(report.root.glob("JPEGImages/odd.*"))) == 1) == converted


def anything(*values: Any) -> tuple[Any, ...]:
    """Values of all types, to be put into a field in turn."""
    return values


def is_skip(finding: Finding) -> bool:
    return finding.reason.endswith("shape skipped.")


def mask_of(root: Path, stem: str, folder: str = "SegmentationClass") -> npt.NDArray[Any]:
    with Image.open(root / folder / f"{stem}.png") as image:
        if folder == "SegmentationClass":
            assert image.mode == "P"
            assert image.getpalette() == _palette()
        return np.array(image)


@functools.cache
def _palette() -> list[int]:
    return [int(value) for value in voc_palette().ravel()]


def drawn_by_labelme(drawn: Sequence[Drawn], size: tuple[int, ...] = SIZE, value: int = 2) -> npt.NDArray[Any]:
    """Class ids (H, W) as labelme draws the shapes; `value` where a shape names no id of its own."""
    ids = [item[2] if len(item) == 3 else value for item in drawn]
    shapes = [
        Shape(str(class_id), item[0], tuple((float(x), float(y)) for x, y in item[1]))
        for item, class_id in zip(drawn, ids, strict=True)
    ]
    classes, _ = labelme_label(shapes, (size[0], size[1]), {str(class_id): class_id for class_id in ids})
    return classes


@functools.cache
def _good_mask() -> npt.NDArray[Any]:
    return drawn_by_labelme([TRIANGLE], value=1)


def assert_neighbour_is_whole(out: Path) -> None:
    mask = mask_of(out, "good")
    np.testing.assert_array_equal(mask > 0, _good_mask() > 0)
    if (out / "JPEGImages" / "good.jpg").exists():
        assert (out / "JPEGImages" / "good.jpg").read_bytes() == encoded(picture())
    else:
        assert (out / "JPEGImages" / "good.png").is_file()  # image_format png
    assert (out / "SegmentationObject" / "good.png").is_file()


def odd_picture(folder: Path, data: bytes | None = None, name: str = "odd.jpg") -> Path:
    """Write the picture of the odd annotation."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(3)) if data is None else data)
    return path


def odd_text(folder: Path, data: bytes | str) -> None:
    """Write the odd annotation as it stands, and its picture."""
    odd_picture(folder)
    (folder / "odd.json").write_bytes(data.encode() if isinstance(data, str) else data)


def odd(folder: Path, *shapes: Any, image: Any = "odd.jpg", **fields: Any) -> None:
    """Write the odd annotation from its parts; by default with the triangle."""
    odd_text(folder, json.dumps(content(list(shapes) or [dog()], image) | fields))


def dog(points: Any = None, kind: Any = "polygon", **fields: Any) -> Json:
    """A shape of the odd annotation; by default the triangle."""
    return shape("dog", points, kind) | fields


def shapes(*items: Any, **fields: Any) -> Callable[[Path], None]:
    """Maker of an annotation with these shapes."""
    return lambda folder: odd(folder, *items, **fields)


def text(value: bytes | str) -> Callable[[Path], None]:
    """Maker of an annotation with this text."""
    return lambda folder: odd_text(folder, value)


def plain_text(**fields: Any) -> str:
    """The JSON text of an ordinary annotation."""
    return json.dumps(content([dog()], "odd.jpg") | fields)


def png_text(pixels: npt.NDArray[Any], **options: Any) -> str:
    """The base64 text of a PNG."""
    return base64.b64encode(encoded(pixels, "PNG", **options)).decode()


def photo(data: bytes, name: str = "odd.jpg", *items: Any, **fields: Any) -> Callable[[Path], None]:
    """Maker of an annotation of this picture; its size is not recorded unless told."""

    def make(folder: Path) -> None:
        odd_picture(folder, data, name)
        recorded = {"imageHeight": None, "imageWidth": None} | fields
        (folder / "odd.json").write_text(json.dumps(content(list(items) or [dog()], name) | recorded))

    return make
