"""labelme JSON -> Annotation. With `labelme_write`, the way back, the only file that knows labelme's keys.

Reads what labelme 1 to 7 and the programs that speak its dialect have written, and is lenient where labelme's own
reader is strict: unknown keys, missing keys and foreign `version` texts are all fine. What cannot be drawn is left
out and said in `Annotation.findings`; what cannot be understood at all raises AnnotationError.

Two ways lead to the same result. Files as labelme writes them are decoded by types, without touching the embedded
picture; whatever does not fit the types goes the slow way, which can say what is wrong.
"""

import json
import math
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from toolkit.errors import AnnotationError
from toolkit.files import read_file
from toolkit.findings import Finding
from toolkit.labels.annotation import KINDS, Annotation, Point, Shape, clean_label
from toolkit.labels.payload import BadBitmap, bitmap, embedded_picture, is_null

LARGEST_COORDINATE = 1_000_000.0
"""Pixels; beyond, Pillow silently fills half planes or takes minutes."""
LARGEST_BITMAPS = 500_000_000
"""Pixels of all mask shapes of one file together, a byte each in memory; a few bytes of PNG hold millions."""
LARGEST_FILE = 1 << 30
"""Bytes; a larger file is no annotation of one picture."""

PREDICTED = "predicted"
"""The flag of a picture whose shapes nobody has looked at; labelme shows it as a box to untick."""

_POINT_COUNTS = {"circle": (2, 2), "line": (2, 2), "point": (1, 1), "mask": (2, 2), "oriented_rectangle": (4, 4)}
_FEWEST_POINTS = {"polygon": 3, "linestrip": 1, "points": 1}
_FOREIGN_KINDS = {"rotation": "oriented_rectangle"}  # X-AnyLabeling's name for it

_FINISH = "Open it in labelme and finish or delete the shape."
_NOTHING = Raw(b"null")


class _Shape(msgspec.Struct, gc=False):
    label: str
    points: list[tuple[float, float]]
    shape_type: str | None = None
    group_id: int | None = None
    description: str | None = None
    mask: Raw = _NOTHING


class _File(msgspec.Struct):
    shapes: list[_Shape]
    imagePath: str | UnsetType | None = UNSET  # noqa: N815
    imageData: Raw | UnsetType = UNSET  # noqa: N815
    imageHeight: int | None = None  # noqa: N815
    imageWidth: int | None = None  # noqa: N815
    version: str | None = None
    flags: Raw = _NOTHING


class _Flags(msgspec.Struct):
    predicted: Any = None


_DECODER = msgspec.json.Decoder(_File)
_FLAGS = msgspec.json.Decoder(_Flags)


def is_annotation_file(path: Path) -> bool:
    """Whether a name looks like one of labelme's: `*.json` in any case, not a macOS `._*` companion."""
    if path.suffix.lower() != ".json" or path.name.startswith("._"):
        return False
    try:
        return path.is_file()
    except OSError:  # its folder may not be searched: reading it will say so
        return True


def read_labelme(path: Path, *, images: bool = True, encoding: str | None = None) -> Annotation | None:
    """Read one annotation file; None if it is JSON of another kind (no `shapes` beside an image's path or data).

    images     without, an embedded picture is not decoded and is b""
    encoding   of the text; None: UTF-8, or what a byte order mark says

    Raises AnnotationError naming file and field.
    """
    return parse_labelme(path, read_annotation_bytes(path), images=images, encoding=encoding)


def read_annotation_bytes(path: Path) -> bytes:
    """The bytes of an annotation file. Raises AnnotationError if it cannot be read or is far too large."""
    return read_file(path, LARGEST_FILE, AnnotationError)


def parse_labelme(path: Path, data: bytes, *, images: bool = True, encoding: str | None = None) -> Annotation | None:
    """Like `read_labelme`, from the bytes of the file; `path` is used in messages only."""
    data = _as_utf8(path, data, encoding)
    findings: list[Finding] = []
    try:
        raw = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        loose = _loose_file(path, data, findings)
        if loose is None:
            return None
        raw, items = loose
    else:
        items = list(enumerate(raw.shapes))
    if raw.imagePath is UNSET and raw.imageData is UNSET:
        return None
    shapes, room = [], LARGEST_BITMAPS
    for index, item in items:
        try:
            shape = _shape(item, index, path, findings, room)
        except _BadShape as bad:
            findings.append(bad.finding(f"{path}: shapes[{index}]"))
        else:
            shapes.append(shape)
            room -= shape.bitmap.size if shape.bitmap is not None else 0
    recorded = raw.imagePath if isinstance(raw.imagePath, str) else ""
    image: bytes | str | None = recorded or None
    if raw.imageData is not UNSET and not is_null(raw.imageData):
        image = embedded_picture(path, raw.imageData) if images else b""
    return Annotation(
        path=path,
        image=image,
        size=_size(path, raw.imageHeight, raw.imageWidth, findings),
        shapes=tuple(shapes),
        version=raw.version or "",
        findings=tuple(sorted(findings, key=_shape_number)),
        recorded=recorded,
        predicted=_predicted(raw.flags),
    )


def _predicted(flags: Raw) -> bool | None:
    """Other programs keep anything under `flags`: what is not understood is no flag."""
    if is_null(flags):
        return None
    try:
        value = _FLAGS.decode(flags).predicted
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, bool) else None


class _BadShape(Exception):
    def __init__(self, field: str, reason: str, code: str, way_out: str = _FINISH) -> None:
        super().__init__(reason)
        self.field = field
        self.code = code
        self.way_out = way_out

    def finding(self, place: str) -> Finding:
        return Finding(f"{place}{self.field}", f"{self} - shape skipped.", self.way_out, self.code)


def _as_utf8(path: Path, data: bytes, encoding: str | None) -> bytes:
    """The text without a byte order mark, as UTF-8; a mark says more than `encoding`. Raises AnnotationError."""
    if data[:4] == b"\xff\xfe\0\0":
        encoding = "utf-32"
    elif data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif encoding is None or data[:3] == b"\xef\xbb\xbf":
        return data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode(encoding).removeprefix("\ufeff").encode("utf-8", "surrogatepass")
    except (UnicodeError, LookupError) as error:
        raise AnnotationError(f"{path}: cannot be read as {encoding} text ({error}).") from None


def _loose_file(path: Path, data: bytes, findings: list[Finding]) -> tuple[_File, list[tuple[int, _Shape]]] | None:
    """The slow way: what fits is kept, what does not is said. None if it is not labelme's."""
    raw = _loads(path, data)
    if not isinstance(raw, dict) or "shapes" not in raw or not ("imagePath" in raw or "imageData" in raw):
        return None
    if not isinstance(raw["shapes"], list):
        raise AnnotationError(f"{path}: shapes: a list is needed, got {_kind_of(raw['shapes'])}.")
    name, embedded, version = raw.get("imagePath"), raw.get("imageData"), raw.get("version")
    if embedded and not isinstance(embedded, str):
        raise AnnotationError(
            f"{path}: imageData: base64 text or null is needed, got {_kind_of(embedded)}. Save the annotation again in "
            "labelme."
        )
    if name is not None and not isinstance(name, str) and not embedded:
        raise AnnotationError(f"{path}: imagePath: text is needed, got {_kind_of(name)}.")
    if isinstance(name, str) and not _is_writable(name) and not embedded:
        raise AnnotationError(
            f"{path}: imagePath: {name!r} holds half a character. Save the annotation again in labelme."
        )
    items = []
    for index, item in enumerate(raw["shapes"]):
        try:
            items.append((index, _loose_shape(item, f"{path}: shapes[{index}]", findings)))
        except _BadShape as bad:
            findings.append(bad.finding(f"{path}: shapes[{index}]"))
    flags: Any = raw.get("flags")
    file = _File(
        shapes=[],
        imagePath=name if isinstance(name, str) and _is_writable(name) else None,
        imageData=_raw(embedded),
        imageHeight=raw.get("imageHeight"),
        imageWidth=raw.get("imageWidth"),
        version=version if isinstance(version, str) else None,
        flags=_raw({PREDICTED: flags.get(PREDICTED)}) if isinstance(flags, dict) else _NOTHING,
    )
    return file, items


def _loads(path: Path, data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{path}: is not valid UTF-8 text (byte {error.start}). If another program wrote it, name its encoding, "
            "for example --encoding gb18030."
        ) from None
    except json.JSONDecodeError as error:
        if not data.strip(b"\x00 \t\r\n"):
            raise AnnotationError(f"{path}: is empty. Annotate the image again or delete the file.") from None
        way_out = "Restore it from a backup or annotate again."
        if b"<<<<<<< " in data and b">>>>>>> " in data:
            way_out = "It holds conflict markers of a version control program; choose one side."
        elif error.msg == "Extra data":
            way_out = "A second value follows the first; an annotation file holds exactly one."
        where = f"line {error.lineno} column {error.colno}"
        raise AnnotationError(f"{path}: {where}: not valid JSON ({error.msg}). {way_out}") from None
    except (RecursionError, ValueError) as error:  # nested too deeply; an integer of more than 4300 digits
        raise AnnotationError(f"{path}: not an annotation ({error}).") from None


def _loose_shape(item: object, place: str, findings: list[Finding]) -> _Shape:
    """Check the types that the quick way demands. Raises _BadShape."""
    if not isinstance(item, dict):
        raise _BadShape("", f"an object is needed, got {_kind_of(item)}", "shape-type", "")
    label = item.get("label")
    if _is_number(label):
        label = str(label)
    if not isinstance(label, str):
        raise _BadShape(".label", f"text is needed, got {str(label)[:60]}", "no-label")
    kind, text = item.get("shape_type"), item.get("description")
    if not isinstance(kind, str | None):
        raise _BadShape(".shape_type", f"{str(kind)[:60]} is not one of {', '.join(KINDS)}", "unknown-kind", "")
    points, group = _points(item.get("points")), item.get("group_id")
    if group is not None and _group(group) is None:
        text_of = "a whole number is needed, got"
        findings.append(Finding(f"{place}.group_id", f"{text_of} {str(group)[:60]!r} - not used.", code="group-field"))
    return _Shape(
        label=label,
        points=points,
        shape_type=kind,
        group_id=_group(group),
        description=text if isinstance(text, str) else None,
        mask=_raw(item.get("mask")) if kind == "mask" else _NOTHING,
    )


def _points(raw: object) -> list[Point]:
    if not isinstance(raw, list):
        raise _BadShape(".points", f"a list of [x, y] is needed, got {_kind_of(raw)}", "points-type")
    points = []
    for index, pair in enumerate(raw):
        if not isinstance(pair, list) or len(pair) != 2 or not all(_is_number(value) for value in pair):
            raise _BadShape(f".points[{index}]", f"two finite numbers are needed, got {str(pair)[:60]}", "points-type")
        points.append((float(pair[0]), float(pair[1])))
    return points


def _group(raw: Any) -> int | None:
    return int(raw) if _is_number(raw) and raw == int(raw) else None


def _raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode()) if value is not None else _NOTHING


def _shape(item: _Shape, number: int, path: Path, findings: list[Finding], room: int) -> Shape:
    """From types that fit to a shape that can be drawn, its bitmap of at most `room` pixels. Raises _BadShape."""
    if not _is_writable(item.label):
        raise _BadShape(".label", f"{item.label!r} holds half a character and cannot be written", "no-label")
    label = clean_label(item.label)
    if not label:
        raise _BadShape(".label", f"text is needed, got {item.label!r}", "no-label")
    kind = item.shape_type or "polygon"
    kind = _FOREIGN_KINDS.get(kind, kind)
    if kind not in KINDS:
        raise _BadShape(".shape_type", f"{kind[:60]!r} is not one of {', '.join(KINDS)}", "unknown-kind", "")
    if max(map(abs, chain.from_iterable(item.points)), default=0) > LARGEST_COORDINATE:
        index = next(i for i, pair in enumerate(item.points) if max(map(abs, pair)) > LARGEST_COORDINATE)
        text = f"lies more than a million pixels away ({str(item.points[index])[:60]})"
        raise _BadShape(f".points[{index}]", text, "far-point")
    kind, points = _fitted(kind, tuple(item.points))
    place = f"{path}: shapes[{number}]"
    if label != item.label:
        way_out = "Write it the same way everywhere, or leave it: seg does."
        findings.append(Finding(f"{place}.label", f"{item.label!r} is read as '{label}'.", way_out, "label-spelling"))
    return Shape(
        label=label,
        kind=kind,
        points=points,
        group_id=item.group_id,
        bitmap=_bitmap(item.mask, points, place, findings, room) if kind == "mask" else None,
        text=item.description or "",
        number=number,
    )


def _fitted(kind: str, points: tuple[Point, ...]) -> tuple[str, tuple[Point, ...]]:
    """Check how many points a kind needs; a rectangle of four corners (other programs) becomes a polygon."""
    if kind == "rectangle":
        if len(points) == 4:
            return "polygon", points
        fewest, most = 2, 2
    else:
        fewest, most = _POINT_COUNTS.get(kind, (_FEWEST_POINTS.get(kind, 1), 1_000_000_000))
    if not fewest <= len(points) <= most:
        needed = f"{fewest} point{'s' if fewest > 1 else ''}{'' if most == fewest else ' or more'}"
        raise _BadShape(".points", f"a {kind} needs {needed}, got {len(points)}", "point-count")
    return kind, points


def _bitmap(raw: Raw, points: tuple[Point, ...], place: str, findings: list[Finding], room: int) -> Any:
    (x1, y1), (x2, y2) = points
    box = (max(1, round(y2) - round(y1) + 1), max(1, round(x2) - round(x1) + 1))
    try:
        pixels = bitmap(raw, box, room)
    except BadBitmap as bad:
        raise _BadShape(".mask", str(bad), "mask-picture") from None
    if max(abs(pixels.shape[0] - box[0]), abs(pixels.shape[1] - box[1])) > 1:
        sizes = f"{pixels.shape[1]} x {pixels.shape[0]} pixels, its box {box[1]} x {box[0]}"
        text = f"the bitmap has {sizes}; drawn from the box's top left corner, as labelme does."
        findings.append(Finding(f"{place}.mask", text, "Look at the shape in labelme.", "mask-size"))
    return pixels


def _size(path: Path, height: Any, width: Any, findings: list[Finding]) -> tuple[int, int] | None:
    if height is None or width is None:
        return None
    if (
        not (_is_number(height) and _is_number(width) and height == int(height) and width == int(width))
        or min(height, width) < 1
    ):
        text = f"whole numbers are needed, got {str(height)[:30]}, {str(width)[:30]} - not used."
        findings.append(Finding(f"{path}: imageHeight, imageWidth", text, code="size-field"))
        return None
    return int(height), int(width)


def _shape_number(finding: Finding) -> int:
    """Findings of a file in the order of its shapes, whichever way found them."""
    number = finding.place.rpartition("shapes[")[2].partition("]")[0]
    return int(number) if number.isdecimal() else -1


def _is_writable(text: str) -> bool:
    """JSON can hold lone surrogates; no file name and no text file can."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of floats
        return False


def _kind_of(value: object) -> str:
    names = {
        type(None): "nothing",
        bool: "true/false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)
