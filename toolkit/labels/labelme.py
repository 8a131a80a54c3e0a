"""labelme JSON -> Annotation.

Reads what labelme 1 to 7 and the programs that speak its dialect have written, and is lenient where labelme's own
reader is strict: unknown keys, missing keys and foreign `version` texts are all fine. What cannot be drawn is left
out and said in `Annotation.findings`; what cannot be understood at all raises AnnotationError.

Two ways lead to the same result. Files as labelme writes them are decoded by types, without touching the embedded
picture; whatever does not fit the types goes the slow way (`labelme_loose`), which can say what is wrong.
"""

from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from toolkit.errors import AnnotationError
from toolkit.files import read_file
from toolkit.findings import Finding
from toolkit.labels.annotation import KINDS, Annotation, Point, Shape, clean_label
from toolkit.labels.labelme_fields import BadShape, File, FileShape, Flags, is_number, is_writable
from toolkit.labels.labelme_loose import loose_file
from toolkit.labels.payload import BadBitmap, bitmap, embedded_picture, is_null
from toolkit.labels.repeated import Keys

LARGEST_COORDINATE = 1_000_000.0
"""Pixels; beyond, Pillow silently fills half planes or takes minutes."""
LARGEST_BITMAPS = 500_000_000
"""Pixels of all mask shapes of one file together, a byte each in memory; a few bytes of PNG hold millions."""
LARGEST_FILE = 1 << 30
"""Bytes; a larger file is no annotation of one picture."""

_POINT_COUNTS = {"circle": (2, 2), "line": (2, 2), "point": (1, 1), "mask": (2, 2), "oriented_rectangle": (4, 4)}
_FEWEST_POINTS = {"polygon": 3, "linestrip": 1, "points": 1}
_FOREIGN_KINDS = {"rotation": "oriented_rectangle"}  # X-AnyLabeling's name for it

_DECODER = msgspec.json.Decoder(File)
_FLAGS = msgspec.json.Decoder(Flags)
_KEYS = Keys(
    file=File.__struct_fields__,
    shape=(*FileShape.__struct_fields__, "flags"),  # their own, which labelme keeps and seg does not need
    flags=Flags.__struct_fields__,
)


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
        loose = loose_file(path, data, findings)
        if loose is None:
            return None
        raw, items = loose
    else:
        items = list(enumerate(raw.shapes))
    if raw.imagePath is UNSET and raw.imageData is UNSET:
        return None
    findings += _KEYS.repeated(path, data, len(items))
    shapes, room = [], LARGEST_BITMAPS
    for index, item in items:
        try:
            shape = _shape(item, index, path, findings, room)
        except BadShape as bad:
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


def _shape(item: FileShape, number: int, path: Path, findings: list[Finding], room: int) -> Shape:
    """From types that fit to a shape that can be drawn, its bitmap of at most `room` pixels. Raises BadShape."""
    if not is_writable(item.label):
        raise BadShape(".label", f"{item.label!r} holds half a character and cannot be written", "no-label")
    label = clean_label(item.label)
    if not label:
        raise BadShape(".label", f"text is needed, got {item.label!r}", "no-label")
    kind = item.shape_type or "polygon"
    kind = _FOREIGN_KINDS.get(kind, kind)
    if kind not in KINDS:
        raise BadShape(".shape_type", f"{kind[:60]!r} is not one of {', '.join(KINDS)}", "unknown-kind", "")
    if max(map(abs, chain.from_iterable(item.points)), default=0) > LARGEST_COORDINATE:
        index = next(i for i, pair in enumerate(item.points) if max(map(abs, pair)) > LARGEST_COORDINATE)
        text = f"lies more than a million pixels away ({str(item.points[index])[:60]})"
        raise BadShape(f".points[{index}]", text, "far-point")
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
        raise BadShape(".points", f"a {kind} needs {needed}, got {len(points)}", "point-count")
    return kind, points


def _bitmap(raw: Raw, points: tuple[Point, ...], place: str, findings: list[Finding], room: int) -> Any:
    (x1, y1), (x2, y2) = points
    box = (max(1, round(y2) - round(y1) + 1), max(1, round(x2) - round(x1) + 1))
    try:
        pixels = bitmap(raw, box, room)
    except BadBitmap as bad:
        raise BadShape(".mask", str(bad), "mask-picture") from None
    if max(abs(pixels.shape[0] - box[0]), abs(pixels.shape[1] - box[1])) > 1:
        sizes = f"{pixels.shape[1]} x {pixels.shape[0]} pixels, its box {box[1]} x {box[0]}"
        text = f"the bitmap has {sizes}; drawn from the box's top left corner, as labelme does."
        findings.append(Finding(f"{place}.mask", text, "Look at the shape in labelme.", "mask-size"))
    return pixels


def _size(path: Path, height: Any, width: Any, findings: list[Finding]) -> tuple[int, int] | None:
    if height is None or width is None:
        return None
    if (
        not (is_number(height) and is_number(width) and height == int(height) and width == int(width))
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
