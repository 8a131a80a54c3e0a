"""The slow way to read an annotation file: what fits is kept, what does not fit is said."""

import json
from pathlib import Path
from typing import Any

from msgspec import Raw

from toolkit.errors import AnnotationError
from toolkit.findings import Finding
from toolkit.labels.annotation import KINDS, Point
from toolkit.labels.labelme_fields import NOTHING, BadShape, File, FileShape, Flags, is_number, is_writable


def loose_file(path: Path, data: bytes, findings: list[Finding]) -> tuple[File, list[tuple[int, FileShape]]] | None:
    """Read what can be read of a file, its shapes beside it with their numbers. None if it is not labelme's.

    What is wrong is added to `findings`; `path` is used in messages only. Raises AnnotationError for what cannot be
    understood at all.
    """
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
    if isinstance(name, str) and not is_writable(name) and not embedded:
        raise AnnotationError(
            f"{path}: imagePath: {name!r} holds half a character. Save the annotation again in labelme."
        )
    items = []
    for index, item in enumerate(raw["shapes"]):
        try:
            items.append((index, _loose_shape(item, f"{path}: shapes[{index}]", findings)))
        except BadShape as bad:
            findings.append(bad.finding(f"{path}: shapes[{index}]"))
    flags: Any = raw.get("flags")
    file = File(
        shapes=[],
        imagePath=name if isinstance(name, str) and is_writable(name) else None,
        imageData=_raw(embedded),
        imageHeight=raw.get("imageHeight"),
        imageWidth=raw.get("imageWidth"),
        version=version if isinstance(version, str) else None,
        flags=_raw({key: flags.get(key) for key in Flags.__struct_fields__}) if isinstance(flags, dict) else NOTHING,
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


def _loose_shape(item: object, place: str, findings: list[Finding]) -> FileShape:
    """Check the types that the quick way demands. Raises BadShape."""
    if not isinstance(item, dict):
        raise BadShape("", f"an object is needed, got {_kind_of(item)}", "shape-type", "")
    label = item.get("label")
    if is_number(label):
        label = str(label)
    if not isinstance(label, str):
        raise BadShape(".label", f"text is needed, got {str(label)[:60]}", "no-label")
    kind, text = item.get("shape_type"), item.get("description")
    if not isinstance(kind, str | None):
        raise BadShape(".shape_type", f"{str(kind)[:60]} is not one of {', '.join(KINDS)}", "unknown-kind", "")
    points, group = _points(item.get("points")), item.get("group_id")
    if group is not None and _group(group) is None:
        text_of = "a whole number is needed, got"
        findings.append(Finding(f"{place}.group_id", f"{text_of} {str(group)[:60]!r} - not used.", code="group-field"))
    return FileShape(
        label=label,
        points=points,
        shape_type=kind,
        group_id=_group(group),
        description=text if isinstance(text, str) else None,
        mask=_raw(item.get("mask")) if kind == "mask" else NOTHING,
    )


def _points(raw: object) -> list[Point]:
    if not isinstance(raw, list):
        raise BadShape(".points", f"a list of [x, y] is needed, got {_kind_of(raw)}", "points-type")
    points = []
    for index, pair in enumerate(raw):
        if not isinstance(pair, list) or len(pair) != 2 or not all(is_number(value) for value in pair):
            raise BadShape(f".points[{index}]", f"two finite numbers are needed, got {str(pair)[:60]}", "points-type")
        points.append((float(pair[0]), float(pair[1])))
    return points


def _group(raw: Any) -> int | None:
    return int(raw) if is_number(raw) and raw == int(raw) else None


def _raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode()) if value is not None else NOTHING


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
