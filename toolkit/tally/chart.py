"""One picture of what a folder holds: pixels and images of each class, sizes of images and shapes."""

import io
import logging
import unicodedata
import warnings
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import FuncFormatter, MaxNLocator

from toolkit.labels.classmap import voc_palette
from toolkit.tally.figures import ClassFigures, Statistics

_WIDTH = 13.0  # inches
_DPI = 110
_LEAST_HEIGHT = 6.2
_LONGEST_NAME = 26
_MOST_BARS = 8
_THICKEST = 0.45  # inches a bar
_LOG_FROM = 100  # largest value by smallest: beyond, bars of rare classes are invisible on a linear scale
_GREY = "#5b6770"
_MANY_SCRIPTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans",
    "WenQuanYi Zen Hei",
    "Malgun Gothic",
    "Arial Unicode MS",
    "Segoe UI",
)


def draw_chart(found: Statistics, file_format: str = "png") -> bytes:
    """The picture as the bytes of a png, svg or pdf file. Characters that no installed font has are drawn as boxes."""
    installed = set(fontManager.get_font_names())
    style: dict[Any, Any] = {
        "font.family": ["DejaVu Sans", *(name for name in _MANY_SCRIPTS if name in installed)],
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.edgecolor": "#9aa5ad",
        "xtick.color": _GREY,
        "svg.hashsalt": "seg",
    }
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing|Matplotlib currently does not support")
        figure = _figure(found)
        buffer = io.BytesIO()
        stamp = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}  # equal figures, equal bytes
        figure.savefig(buffer, format=file_format, dpi=_DPI, metadata=stamp.get(file_format))
    return buffer.getvalue()


def _figure(found: Statistics) -> Figure:
    rows = len(found.classes)
    inches = 0.3 if rows <= 25 else 0.2
    height = max(_LEAST_HEIGHT, 1.6 + inches * rows)
    figure = Figure(figsize=(_WIDTH, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[union-attr, call-arg]
    columns = figure.add_gridspec(1, 3, width_ratios=[4.2, 2.2, 4.4])
    bars = 1.6 + _THICKEST * rows
    shares, images = (
        figure.add_subplot(column.subgridspec(2, 1, height_ratios=[bars, max(0.01, height - bars)])[0])
        for column in (columns[0], columns[1])
    )
    free = max(0.01, height - _LEAST_HEIGHT)  # the right column stays at the top, at the height of a small picture
    right = columns[2].subgridspec(3, 1, height_ratios=[_LEAST_HEIGHT / 2, _LEAST_HEIGHT / 2, free])
    things = "shapes" if found.kind == "labelme" else "instances"
    figure.suptitle(
        _plain(f"{found.source}: {found.images:,} images" + _count(found, things)),
        parse_math=False,
        fontsize=12,
        x=0.01,
        ha="left",
    )
    small = 9 if rows <= 60 else 8
    _class_bars(shares, found, [100 * found.share(c) for c in found.classes], "share of the pixels, %", small)
    _class_bars(images, found, [float(c.images) for c in found.classes], "images with the class", small)
    images.set_yticklabels([])
    _image_sizes(figure.add_subplot(right[0]), found)
    if found.shape_sizes is not None:
        _shape_sizes(figure.add_subplot(right[1]), found, things)
    return figure


def _count(found: Statistics, things: str) -> str:
    return f", {found.shapes:,} {things}" if found.shape_sizes is not None else ""


def _class_bars(axes: Axes, found: Statistics, values: list[float], title: str, size: int) -> None:
    """Horizontal bars in the order of ids, in the colours of the masks, each with its number."""
    palette = voc_palette() / 255
    places = np.arange(len(values))
    colors = [tuple(palette[min(c.index, 255)]) for c in found.classes]
    axes.barh(places, values, color=colors, edgecolor="#333333", linewidth=0.5, height=0.75)
    present = [value for value in values if value > 0]
    if present and max(present) > _LOG_FROM * min(present):
        axes.set_xscale("log")
        axes.set_xlim(min(present) / 3, max(present) * 8)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.minorticks_off()
        title += " (log scale)"
    else:
        axes.set_xlim(0, max(present, default=1) * 1.25)
    left = axes.get_xlim()[0]
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}",
            (max(value, left), place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=size - 1,
            color=_GREY,
        )
    axes.set_title(title)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_yticks(places, [_name(c) for c in found.classes], fontsize=size, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e3e7ea", linewidth=0.6)
    axes.set_axisbelow(True)


def _image_sizes(axes: Axes, found: Statistics) -> None:
    """A bar for each size, or, if there are many, a dot at each width and height."""
    axes.set_title("image sizes (width x height, images)" if len(found.image_sizes) <= _MOST_BARS else "image sizes")
    if len(found.image_sizes) <= _MOST_BARS:
        counts = list(found.image_sizes.values())
        bars = axes.barh(range(len(counts)), counts, color="#4c8fbd", height=0.6)
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=3, color=_GREY)
        axes.set_yticks(range(len(counts)), [f"{w} x {h}" for h, w in found.image_sizes])
        axes.set_ylim(max(len(counts), 4) - 0.4, -0.6)
        axes.set_xlim(0, max(counts) * 1.15)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        return
    heights, widths = zip(*found.image_sizes, strict=True)
    images = np.array(list(found.image_sizes.values()))
    axes.scatter(widths, heights, s=12 + 150 * images / images.max(), color="#4c8fbd", alpha=0.5, linewidth=0)
    axes.set_xlim(0, 1.1 * max(widths))
    axes.set_ylim(0, 1.1 * max(heights))
    axes.set_xlabel(f"width (larger dot: more images, at most {images.max():,})")
    axes.set_ylabel("height")


def _shape_sizes(axes: Axes, found: Statistics, things: str) -> None:
    counts = found.size_octaves
    axes.set_title(f"{things} by size: pixels seen (side of such a square)")
    shown = range(next((i for i, count in enumerate(counts) if count), 0), len(counts))
    axes.bar([float(i) for i in shown], [counts[i] for i in shown], width=0.9, color="#6aa56f")
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _octave(round(value))))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel(things)
    axes.grid(axis="y", color="#e3e7ea", linewidth=0.6)
    axes.set_axisbelow(True)


def _octave(index: int) -> str:
    """`4096+ (64)`, on two lines, for the sizes 4096 to 8191."""
    if index <= 0:
        return "0" if index == 0 else ""
    pixels = 2 ** (index - 1)
    text = f"{pixels / 1e6:.0f}M" if pixels >= 1e6 else f"{pixels / 1e3:.0f}k" if pixels >= 1e4 else f"{pixels}"
    return f"{text}+\n({pixels**0.5:.0f})"


def _name(figures: ClassFigures) -> str:
    name = _plain(figures.name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _plain(text: str) -> str:
    """Without control characters and halves of characters, which no font can draw."""
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cs") else "\ufffd" for c in text)
