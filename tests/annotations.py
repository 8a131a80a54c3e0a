"""Pictures and labelme files on disk, written without `seg`."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Json = dict[str, Any]

SIZE = (24, 36)
"""(H, W) of the pictures that `annotated` writes."""
SHARED = Path(__file__).parents[2] / "shared" / "data" / "labelme"
"""Real annotations; not part of the repository."""
SAMPLE = Path(__file__).parents[1] / "datasets" / "coins"


def shape(label: Any = "cat", points: Any = None, kind: Any = "polygon", **fields: Any) -> Json:
    """One shape as labelme 5 writes it; by default a triangle."""
    return {
        "label": label,
        "points": [[2, 3], [20, 3], [11.5, 18]] if points is None else points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
    } | fields


def content(shapes: Sequence[Any], image: str | None = "a.jpg", **fields: Any) -> Json:
    """A file's top level as labelme 5 writes it."""
    H, W = SIZE
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": image,
        "imageData": None,
        "imageHeight": H,
        "imageWidth": W,
    } | fields


def write_json(path: Path, value: Any) -> Path:
    """Write JSON, making the folder; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def picture(seed: int = 0, size: tuple[int, int] = SIZE) -> Pixels:
    """uint8 (H, W, 3): smooth colours, no two seeds and no two corners alike."""
    H, W = size
    x, y = np.meshgrid(np.linspace(0, 1, W), np.linspace(0, 1, H))
    bands = np.stack([255 * x, 255 * y, 255 * np.abs(np.sin(x + 2 * y + seed))], axis=2)
    return bands.astype(np.uint8)


def encoded(pixels: npt.NDArray[Any], file_format: str = "JPEG", **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, **options)
    return buffer.getvalue()


def annotated(folder: Path, name: str = "a", *, label: str = "cat", seed: int = 0, **fields: Any) -> Path:
    """Write a JPEG picture and its annotation with one triangle; returns the annotation's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jpg").write_bytes(encoded(picture(seed)))
    return write_json(folder / f"{name}.json", content([shape(label)], f"{name}.jpg") | fields)
