"""labelme JSON <-> Annotation. The only file that knows labelme's keys.

Reads what labelme 1 to 7 and the programs that speak its dialect have written, and is lenient where labelme's own
reader is strict: unknown keys, missing keys and foreign `version` texts are all fine. What cannot be drawn is left
out and said in `Annotation.skipped`; what cannot be understood at all raises AnnotationError.
"""

import base64
import binascii
import io
import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.errors import AnnotationError
from toolkit.files import write_text
from toolkit.findings import Finding
from toolkit.labels.annotation import KINDS, Annotation, Point, Shape, clean_label

LARGEST_COORDINATE = 1_000_000.0  # pixels; beyond, Pillow silently fills half planes or takes minutes

_POINT_COUNTS = {"circle": (2, 2), "line": (2, 2), "point": (1, 1), "mask": (2, 2), "oriented_rectangle": (4, 4)}
_FEWEST_POINTS = {"polygon": 3, "linestrip": 1, "points": 1}
_FOREIGN_KINDS = {"rotation": "oriented_rectangle"}  # X-AnyLabeling's name for it

_FINISH = "Open it in labelme and finish or delete the shape."


def is_annotation_file(path: Path) -> bool:
    """Whether a name looks like one of labelme's: `*.json` in any case, not a macOS `._*` companion."""
    return path.suffix.lower() == ".json" and not path.name.startswith("._") and path.is_file()


def read_labelme(path: Path) -> Annotation | None:
    """Read one annotation file; None if it is JSON of another kind (no `shapes` beside an image's path or data).

    Raises AnnotationError naming file and field.
    """
    raw = _load(path)
    if not isinstance(raw, dict) or "shapes" not in raw or not ("imagePath" in raw or "imageData" in raw):
        return None
    shapes_raw = raw["shapes"]
    if not isinstance(shapes_raw, list):
        raise AnnotationError(f"{path}: shapes: a list is needed, got {_kind_of(shapes_raw)}.")
    skipped: list[Finding] = []
    shapes: list[Shape] = []
    for index, item in enumerate(shapes_raw):
        try:
            shapes.append(_shape(item))
        except _BadShape as bad:
            skipped.append(Finding(f"{path}: shapes[{index}]{bad.field}", f"{bad} - shape skipped.", bad.way_out))
    return Annotation(
        path=path,
        image=_image(path, raw),
        size=_size(path, raw, skipped),
        shapes=tuple(shapes),
        version=raw["version"] if isinstance(raw.get("version"), str) else "",
        skipped=tuple(skipped),
    )


def write_labelme(annotation: Annotation, path: Path) -> None:
    """Write what labelme 5, 6 and 7 open without a complaint, atomically. The recorded image must be a path.

    Raises AnnotationError if size or path of the image are unknown.
    """
    if annotation.size is None or not isinstance(annotation.image, str):
        raise AnnotationError(f"{path}: an annotation needs its image's path and size to be written.")
    content: dict[str, Any] = {
        "version": annotation.version or "5.5.0",
        "flags": {},
        "shapes": [_shape_to_json(shape) for shape in annotation.shapes],
        "imagePath": annotation.image,
        "imageData": None,
        "imageHeight": annotation.size[0],
        "imageWidth": annotation.size[1],
    }
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


class _BadShape(Exception):
    def __init__(self, field: str, reason: str, way_out: str = _FINISH) -> None:
        super().__init__(reason)
        self.field = field
        self.way_out = way_out


def _load(path: Path) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read: {error.strerror or error}.") from None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return json.loads(data.decode(encoding))
    except UnicodeDecodeError:
        raise AnnotationError(
            f"{path}: is not valid {encoding.removesuffix('-sig').upper()} text. Open it in the program that wrote it and save it as UTF-8."
        ) from None
    except json.JSONDecodeError as error:
        if not data.strip(b"\x00 \t\r\n"):
            raise AnnotationError(f"{path}: is empty. Annotate the image again or delete the file.") from None
        where = f"line {error.lineno} column {error.colno}"
        raise AnnotationError(
            f"{path}: {where}: not valid JSON ({error.msg}). Restore it from a backup or annotate again."
        ) from None
    except (RecursionError, ValueError) as error:  # nested too deeply; an integer of more than 4300 digits
        raise AnnotationError(f"{path}: not an annotation ({error}).") from None


def _image(path: Path, raw: dict[str, Any]) -> bytes | str | None:
    data = raw.get("imageData")
    if data:
        if not isinstance(data, str):
            raise AnnotationError(f"{path}: imageData: base64 text or null is needed, got {_kind_of(data)}.")
        return _base64(path, "imageData", data)
    name = raw.get("imagePath")
    if name is not None and not isinstance(name, str):
        raise AnnotationError(f"{path}: imagePath: text is needed, got {_kind_of(name)}.")
    if name and not _is_writable(name):
        raise AnnotationError(
            f"{path}: imagePath: {name!r} holds half a character. Save the annotation again in labelme."
        )
    return name or None


def _base64(path: Path, field: str, text: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise AnnotationError(
            f"{path}: {field}: not valid base64 ({error}). Save the annotation again in labelme."
        ) from None


def _size(path: Path, raw: dict[str, Any], skipped: list[Finding]) -> tuple[int, int] | None:
    height, width = raw.get("imageHeight"), raw.get("imageWidth")
    if height is None or width is None:
        return None
    if (
        not (_is_number(height) and _is_number(width) and height == int(height) and width == int(width))
        or min(height, width) < 1
    ):
        skipped.append(
            Finding(
                f"{path}: imageHeight, imageWidth", f"whole numbers are needed, got {height!r}, {width!r} - not used."
            )
        )
        return None
    return int(height), int(width)


def _shape(item: object) -> Shape:
    if not isinstance(item, dict):
        raise _BadShape("", f"an object is needed, got {_kind_of(item)}", "")
    label = item.get("label")
    if isinstance(label, int | float) and not isinstance(label, bool):
        label = str(label)
    if not isinstance(label, str) or not clean_label(label):
        raise _BadShape(".label", f"text is needed, got {label!r}")
    if not _is_writable(label):
        raise _BadShape(".label", f"{label!r} holds half a character and cannot be written")
    kind = item.get("shape_type") or "polygon"
    kind = _FOREIGN_KINDS.get(kind, kind) if isinstance(kind, str) else kind
    if kind not in KINDS:
        raise _BadShape(".shape_type", f"{kind!r} is not one of {', '.join(KINDS)}", "")
    points = _points(item.get("points"))
    kind, points = _fitted(kind, points)
    return Shape(
        label=clean_label(label),
        kind=kind,
        points=points,
        group_id=_group(item.get("group_id")),
        bitmap=_bitmap(item.get("mask")) if kind == "mask" else None,
        text=item["description"] if isinstance(item.get("description"), str) else "",
    )


def _group(raw: Any) -> int | None:
    return int(raw) if _is_number(raw) and raw == int(raw) else None


def _points(raw: object) -> tuple[Point, ...]:
    if not isinstance(raw, list):
        raise _BadShape(".points", f"a list of [x, y] is needed, got {_kind_of(raw)}")
    points = []
    for index, pair in enumerate(raw):
        if not isinstance(pair, list) or len(pair) != 2 or not all(_is_number(value) for value in pair):
            raise _BadShape(f".points[{index}]", f"two finite numbers are needed, got {str(pair)[:60]}")
        if max(abs(value) for value in pair) > LARGEST_COORDINATE:
            raise _BadShape(f".points[{index}]", f"lies more than a million pixels away ({str(pair)[:60]})")
        points.append((float(pair[0]), float(pair[1])))
    return tuple(points)


def _fitted(kind: str, points: tuple[Point, ...]) -> tuple[str, tuple[Point, ...]]:
    """Check how many points a kind needs; a rectangle of four corners (other programs) becomes a polygon."""
    if kind == "rectangle":
        if len(points) == 4:
            return "polygon", points
        fewest, most = 2, 2
    else:
        fewest, most = _POINT_COUNTS.get(kind, (_FEWEST_POINTS.get(kind, 1), 1_000_000_000))
    if not fewest <= len(points) <= most:
        needed = f"{fewest} point{'s' if fewest > 1 else ''}"
        raise _BadShape(".points", f"a {kind} needs {needed}{'' if most == fewest else ' or more'}, got {len(points)}")
    return kind, points


def _bitmap(raw: object) -> npt.NDArray[np.bool_]:
    if not isinstance(raw, str) or not raw:
        raise _BadShape(".mask", f"a mask shape needs its picture (base64 text), got {_kind_of(raw)}")
    try:
        data = base64.b64decode("".join(raw.split()), validate=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on large but allowed pictures
            with Image.open(io.BytesIO(data)) as image:
                pixels = np.asarray(image)
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _BadShape(".mask", f"the picture cannot be read ({error})") from None
    if pixels.ndim != 2:
        raise _BadShape(".mask", f"a picture with one channel is needed, got {pixels.shape[-1]}")
    return pixels.astype(np.bool_)


def _shape_to_json(shape: Shape) -> dict[str, Any]:
    mask = None
    if shape.bitmap is not None:
        buffer = io.BytesIO()
        Image.fromarray(shape.bitmap.astype(np.uint8)).save(buffer, format="PNG")
        mask = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {
        "label": shape.label,
        "points": [list(point) for point in shape.points],
        "group_id": shape.group_id,
        "description": shape.text,
        "shape_type": shape.kind,
        "flags": {},
        "mask": mask,
    }


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
