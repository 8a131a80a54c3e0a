"""Annotation -> labelme JSON: what labelme 5, 6 and 7 open without a complaint."""

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from toolkit.errors import AnnotationError
from toolkit.files import write_bytes, write_text
from toolkit.labels.annotation import Annotation, Shape

_VERSION = "5.5.0"
"""The release whose format this is: since then bitmaps are 8-bit PNG. labelme only shows it."""


def write_labelme(annotation: Annotation, path: Path, *, flags: Mapping[str, bool] | None = None) -> None:
    """Write it atomically, without the picture, whose recorded path must be known.

    flags    of the picture as a whole; labelme shows them as boxes that can be ticked and unticked

    Raises AnnotationError if size or path of the image are unknown.
    """
    if annotation.size is None or not isinstance(annotation.image, str):
        raise AnnotationError(f"{path}: an annotation needs its image's path and size to be written.")
    content: dict[str, Any] = {
        "version": annotation.version or _VERSION,
        "flags": dict(flags or {}),
        "shapes": [_shape(shape) for shape in annotation.shapes],
        "imagePath": annotation.image,
        "imageData": None,
        "imageHeight": annotation.size[0],
        "imageWidth": annotation.size[1],
    }
    try:
        write_bytes(path, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    except (UnicodeEncodeError, OverflowError):  # file names that are no text, endless group ids: twelve times as slow
        write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _shape(shape: Shape) -> dict[str, Any]:
    mask = None
    if shape.bitmap is not None:
        buffer = io.BytesIO()
        Image.fromarray(shape.bitmap.astype(np.uint8)).save(buffer, format="PNG")
        mask = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {
        "label": shape.label,
        "points": shape.points,
        "group_id": shape.group_id,
        "description": shape.text,
        "shape_type": shape.kind,
        "flags": {},
        "mask": mask,
    }
