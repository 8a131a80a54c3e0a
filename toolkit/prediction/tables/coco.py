"""All masks of a call in one COCO file: what pycocotools, FiftyOne, CVAT and others read.

Source: https://cocodataset.org/#format-data, object detection, and "stuff" for one annotation a class and picture.
"""

import codecs
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from toolkit.errors import DataError
from toolkit.files import writing
from toolkit.labels.classmap import IGNORE, ClassMap
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.tables.rle import encode_classes
from toolkit.prediction.tables.row import Table, TableRow
from toolkit.prediction.writers.options import WriteOptions

_utf8 = codecs.getwriter("utf-8")
_dumped = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


class _Region(msgspec.Struct, forbid_unknown_fields=True):
    """The pixels of one class in one picture, as `record` keeps them."""

    class_id: int
    counts: str
    area: int
    box: tuple[int, int, int, int]
    score: float


class _Regions(msgspec.Struct, forbid_unknown_fields=True):
    regions: list[_Region]


def record(prediction: Prediction, options: WriteOptions) -> dict[str, Any]:
    """`regions`: for each class that occurs, without background and ignore, its pixels and how sure the model is."""
    left_out = (prediction.classes.background, IGNORE)
    return {
        "regions": [
            {
                "class_id": class_id,
                "counts": rle.counts,
                "area": rle.area,
                "box": list(rle.box),
                "score": _score(prediction, class_id),
            }
            for class_id, rle in encode_classes(prediction.mask).items()
            if class_id not in left_out
        ]
    }


def assemble(rows: Iterable[TableRow], classes: ClassMap, folder: Path, options: WriteOptions) -> list[Path]:
    """Write coco.json. Images and annotations are numbered from 1.

    Raises DataError for a row that `record` did not make for these classes.
    """
    path = folder / "coco.json"
    with writing(path) as file, tempfile.TemporaryFile(dir=folder) as later:  # annotations come after all images
        text, rest = (_utf8(stream, "backslashreplace") for stream in (file, later))
        categories = _dumped(_categories(classes))
        text.write(f'{{"info": {{"description": "predicted by seg"}}, "licenses": [], "categories": {categories},\n')
        text.write('"images": [')
        annotations = 0
        for image_id, row in enumerate(rows, 1):
            text.write(f"{',' if image_id > 1 else ''}\n{_dumped(_image(image_id, row))}")
            for region in _regions(row, len(classes)):
                annotations += 1
                annotation = _annotation(annotations, image_id, row, region, classes)
                rest.write(f"{',' if annotations > 1 else ''}\n{_dumped(annotation)}")
        text.write('\n],\n"annotations": [')
        later.seek(0)
        shutil.copyfileobj(later, file)
        text.write("\n]}\n")
    return [path]


def _score(prediction: Prediction, class_id: int) -> float:
    """Mean probability of the class's pixels.

    A class that has pixels at the picture's size, but none at the network's, was the likeliest of K somewhere between
    others: its probability there is at least 1/K, and that is said.
    """
    sureness = prediction.sureness[class_id]
    return round(1 / len(prediction.classes) if math.isnan(sureness) else min(1.0, max(0.0, sureness)), 6)


def _category_id(class_id: int, classes: ClassMap) -> int:
    """Not 0, which many programs take for background: where class 0 is one, it is not asked for."""
    return class_id if classes.background == 0 else class_id + 1


def _categories(classes: ClassMap) -> list[dict[str, Any]]:
    return [
        {
            "id": _category_id(k, classes),
            "name": name,
            "supercategory": "",
            "class_id": k,
            "color": classes.colors[k].tolist(),
        }
        for k, name in enumerate(classes.names)
        if k != classes.background
    ]


def _image(image_id: int, row: TableRow) -> dict[str, Any]:
    H, W = row.size
    source = row.source.replace(os.sep, "/")  # not by a Path: Python keeps a table of the parts of them all
    place: dict[str, Any] = {"file_name": source}
    if row.frame is not None:  # the frames of a film must not share a name
        place = {"file_name": row.name, "source": source, "frame": row.frame}
    return {"id": image_id, **place, "height": H, "width": W, "name": row.name}


def _regions(row: TableRow, K: int) -> list[_Region]:
    try:
        regions = msgspec.convert(row.data, _Regions).regions
        if not all(0 <= region.class_id < K and 0 <= region.score <= 1 for region in regions):
            raise ValueError
    except (msgspec.ValidationError, ValueError):
        raise DataError(f"{row.name}: its COCO entry is damaged or of another model. Predict it again.") from None
    return regions


def _annotation(number: int, image_id: int, row: TableRow, region: _Region, classes: ClassMap) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": _category_id(region.class_id, classes),
        "segmentation": {"size": list(row.size), "counts": region.counts},
        "area": region.area,
        "bbox": list(region.box),
        "iscrowd": 0,
        "score": region.score,
    }


TABLE = Table(record, assemble)
