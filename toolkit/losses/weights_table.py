"""Pixel counts and class weights as lines of text."""

from collections.abc import Mapping

from rich.cells import cell_len, set_cell_size

from toolkit.labels.classmap import ClassMap
from toolkit.losses.class_weights import ClassWeights, Weights
from toolkit.voc.counts import PixelCounts

_WIDEST_NAME = 40


def weights_table(made: ClassWeights) -> list[str]:
    """A line for each class with its pixels, share, images and weight, under a heading; then what was counted."""
    return counts_table(made.counts, made.classes, {"weight": made.values})


def counts_table(counts: PixelCounts, classes: ClassMap, columns: Mapping[str, Weights]) -> list[str]:
    """Like `weights_table`, with as many columns of weights, float64 (K,) by heading, as are given.

    Columns are straight also with names in scripts whose letters are two cells wide; names are cut at 40 cells.
    """
    rows = [["class", "pixels", "share", "images", *columns]]
    for k, name in enumerate(classes.names):
        weights = (_figure(float(column[k])) for column in columns.values())
        rows.append([_cut(name), f"{counts.pixels[k]:,}", f"{counts.shares[k]:.3%}", f"{counts.images[k]:,}", *weights])
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([set_cell_size(row[0], widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
    ignored = f", {counts.ignored:,} pixels ignored" if counts.ignored else ""
    images = "1 training image" if counts.total == 1 else f"{counts.total:,} training images"
    return [*lines, f"{images}, {counts.pixels.sum():,} pixels counted{ignored}"]


def _cut(name: str) -> str:
    return name if cell_len(name) <= _WIDEST_NAME else set_cell_size(name, _WIDEST_NAME - 3).rstrip() + "..."


def _figure(weight: float) -> str:
    return f"{weight:#.3g}".removesuffix(".") if weight else "0"
