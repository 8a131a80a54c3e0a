"""Pixels, shares and areas of each class in each picture: counts.csv for people, counts.json for programs."""

import codecs
import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from toolkit.errors import DataError
from toolkit.files import writing
from toolkit.labels.classmap import IGNORE, ClassMap
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.tables.row import Table, TableRow
from toolkit.prediction.writers.options import WriteOptions

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What begins a cell that a spreadsheet program would compute, the full-width forms of East Asian ones included."""

_utf8 = codecs.getwriter("utf-8")
_dumped = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def record(prediction: Prediction, options: WriteOptions) -> dict[str, Any]:
    """`pixels`: those of each class in the order of ids; `ignored`: those of value 255."""
    histogram = Image.fromarray(prediction.mask).histogram()  # several times as fast as numpy's bincount
    return {"pixels": histogram[: len(prediction.classes)], "ignored": histogram[IGNORE]}


def assemble(rows: Iterable[TableRow], classes: ClassMap, folder: Path, options: WriteOptions) -> list[Path]:
    """Write counts.csv, a line for each picture and class, and counts.json, the same and the sums.

    Raises DataError for a row that `record` did not make for these classes.
    """
    table, document = folder / "counts.csv", folder / "counts.json"
    with writing(table) as csv_file, writing(document) as json_file:
        csv_file.write(codecs.BOM_UTF8)  # without it, Excel takes UTF-8 for the code page of the country
        cells = csv.writer(_utf8(csv_file, "backslashreplace"))
        cells.writerow(_headings(options))
        text = _utf8(json_file, "backslashreplace")  # bytes of file names that are no text become JSON's own escapes
        start = {"classes": list(classes.names), "pixel_size": options.pixel_size}
        text.write(f'{{"format": 1, {_dumped(start)[1:-1]}, "pictures": [')
        sums, pictures = np.zeros(len(classes) + 1, np.int64), 0
        for row in rows:
            counted = _counted(row, len(classes), options)
            cells.writerows(_lines(counted, classes))
            text.write(f"{',' if pictures else ''}\n{_dumped(counted)}")
            sums += [*counted["pixels"], counted["ignored"]]
            pictures += 1
        total = {"pictures": pictures, **_figures(sums[:-1].tolist(), int(sums[-1]), options)}
        text.write(f'\n], "total": {_dumped(total)}}}\n')
    return [table, document]


def _headings(options: WriteOptions) -> list[str]:
    headings = ["name", "source", "frame", "class_id", "class", "pixels", "share"]
    return headings if options.pixel_size is None else [*headings, "area"]


def _counted(row: TableRow, K: int, options: WriteOptions) -> dict[str, Any]:
    pixels, ignored = row.data.get("pixels"), row.data.get("ignored")
    if (
        not isinstance(pixels, list)
        or len(pixels) != K
        or not all(type(value) is int and 0 <= value < 1 << 40 for value in (*pixels, ignored))
    ):
        raise DataError(f"{row.name}: its pixel counts are damaged or of another model. Predict it again.")
    place = {"name": row.name, "source": row.source, "frame": row.frame, "height": row.size[0], "width": row.size[1]}
    return {**place, **_figures(pixels, int(ignored or 0), options)}


def _figures(pixels: list[int], ignored: int, options: WriteOptions) -> dict[str, Any]:
    counted = sum(pixels)
    shares = [_plain(n / counted) if counted else 0.0 for n in pixels]
    figures = {"pixels": pixels, "ignored": ignored, "share": shares}
    if options.pixel_size is None:
        return figures
    return figures | {"area": [_plain(n * options.pixel_size**2) for n in pixels]}


def _plain(value: float) -> float:
    """To twelve digits: 9.4904 and not 9.490400000000001."""
    return float(f"{value:.12g}")


def _lines(counted: dict[str, Any], classes: ClassMap) -> Iterator[list[Any]]:
    place = [_cell(counted["name"]), _cell(counted["source"]), counted["frame"]]
    columns = [counted[key] for key in ("pixels", "share", "area") if key in counted]
    for k, (name, *figures) in enumerate(zip(classes.names, *columns, strict=True)):
        yield [*place, k, _cell(name), *figures]


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


TABLE = Table(record, assemble)
