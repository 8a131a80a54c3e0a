"""Makes labelme folders to measure with: the same bytes for the same seed.

Pictures are clouds of colour with sensor noise, so that JPEG has as much to do as with photographs.
"""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

CLASSES = tuple(f"thing {number:02}" for number in range(1, 21))
LABELS = ("__ignore__", "_background_", *CLASSES)


@dataclass(frozen=True)
class Recipe:
    """What a folder holds.

    sizes      (H, W) in turn
    shapes     fewest and most polygons of an image
    points     fewest and most points of a polygon
    noise      standard deviation in grey levels; decides the size of the JPEG
    embedded   whether the picture is in the JSON, and no file beside it
    """

    sizes: tuple[tuple[int, int], ...]
    shapes: tuple[int, int]
    points: tuple[int, int]
    noise: float
    embedded: bool = False


VOC_SIZED = Recipe(((500, 338), (375, 500)), (5, 7), (10, 60), noise=4.0)
PHOTOGRAPHS = Recipe(((3000, 4000),), (30, 30), (20, 200), noise=8.0, embedded=True)
SMALL = Recipe(((48, 64),), (1, 1), (5, 8), noise=4.0)


def make_folder(root: Path, recipe: Recipe, images: int, seed: int = 0) -> Path:
    """Write `images` annotations (and pictures, unless embedded) and `labels.txt` beside the folder; returns `root`."""
    root.mkdir(parents=True)
    for index in range(images):
        rng = np.random.default_rng((seed, index))
        size = recipe.sizes[index % len(recipe.sizes)]
        data = _jpeg(size, recipe.noise, rng)
        name = f"image_{index:05}"
        if not recipe.embedded:
            (root / f"{name}.jpg").write_bytes(data)
        content = {
            "version": "5.5.0",
            "flags": {},
            "shapes": [_polygon(size, recipe.points, rng) for _ in range(rng.integers(*recipe.shapes, endpoint=True))],
            "imagePath": f"{name}.jpg",
            "imageData": base64.b64encode(data).decode() if recipe.embedded else None,
            "imageHeight": size[0],
            "imageWidth": size[1],
        }
        (root / f"{name}.json").write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    return root


def write_labels(path: Path) -> Path:
    """Write the list of labels in labelme's convention."""
    path.write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    return path


def draw_mask(recipe: Recipe, index: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """uint8 (H, W): class ids of polygons over a background of 0, and 255 where they are ignored."""
    rng = np.random.default_rng((seed, index))
    H, W = size = recipe.sizes[index % len(recipe.sizes)]
    image = Image.new("L", (W, H))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(*recipe.shapes, endpoint=True)):
        polygon = _polygon(size, recipe.points, rng)
        value = CLASSES.index(polygon["label"]) + 1 if polygon["label"] in CLASSES else 255
        pen.polygon([tuple(point) for point in polygon["points"]], fill=value)
    return np.asarray(image)


def _jpeg(size: tuple[int, int], noise: float, rng: np.random.Generator) -> bytes:
    H, W = size
    clouds = np.zeros((H, W, 3), np.float32)
    for cells, strength in ((4, 60.0), (16, 25.0), (64, 10.0)):
        coarse = rng.normal(0, strength, (cells, cells, 3)).astype(np.float32)
        for channel in range(3):
            layer = Image.fromarray(coarse[:, :, channel]).resize((W, H), Image.Resampling.BICUBIC)
            clouds[:, :, channel] += np.asarray(layer)
    clouds += 128 + rng.standard_normal((H, W, 1), np.float32) * noise
    buffer = io.BytesIO()
    Image.fromarray(clouds.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _polygon(size: tuple[int, int], points: tuple[int, int], rng: np.random.Generator) -> dict[str, Any]:
    """A blob; one in twenty is ignored, one in four belongs to a group, some reach beyond the picture."""
    H, W = size
    count = int(rng.integers(*points, endpoint=True))
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    radii = rng.uniform(0.05, 0.25) * min(H, W) * rng.uniform(0.7, 1.3, count)
    center: npt.NDArray[np.float64] = rng.uniform((0.0, 0.0), (W, H))
    outline = np.stack([center[0] + radii * np.cos(angles), center[1] + radii * np.sin(angles)], axis=1)
    return {
        "label": "__ignore__" if rng.random() < 0.05 else CLASSES[int(rng.integers(len(CLASSES)))],
        "points": outline.tolist(),
        "group_id": int(rng.integers(3)) if rng.random() < 0.25 else None,
        "description": "",
        "shape_type": "polygon",
        "flags": {},
        "mask": None,
    }
