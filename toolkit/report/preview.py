"""What the network will be shown: a sheet of augmented samples with their masks."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from toolkit.data.augment import Augment
from toolkit.data.dataset import Samples
from toolkit.data.preprocess import Preprocess, resize_image, resize_mask
from toolkit.data.transforms import training_view
from toolkit.errors import DatasetError, UsageError
from toolkit.files import write_bytes
from toolkit.labels.annotation import Mask
from toolkit.labels.classmap import IGNORE, ClassMap
from toolkit.voc.overlay import overlay
from toolkit.voc.pixels import LARGEST_JPEG_SIDE, encode_jpeg, encode_png

Pixels: TypeAlias = npt.NDArray[np.uint8]

_CELL = 256
_GAP = 8
_LINE = 22  # of text
_FONT = 14
_STRENGTH = 0.7  # of the classes' colours: what augmentation does to the picture's must stay visible
_WHITE, _BLACK, _PALE = (255, 255, 255), (0, 0, 0), (205, 205, 205)
_FORMATS = (".png", ".jpg", ".jpeg")


def draw_preview(
    samples: Samples,
    preprocess: Preprocess,
    augment: Augment,
    seed: int,
    classes: ClassMap,
    out: Path,
    images: int = 6,
    draws: int = 5,
) -> Path:
    """Write a sheet, PNG or JPEG by the suffix of `out`: a row for each of so many images, evenly spread over the list.

    The first column shows the picture as for validation, the others what training with this seed gets in its epochs
    1, 2, ... Classes lie over the picture in their colours, background is bare, ignore is hatched, and a legend names
    the classes in view. Returns `out`. Raises UsageError for another suffix or less than one image or draw,
    DatasetError if there is no image, ImageError or DatasetError naming a file that cannot be read.
    """
    if out.suffix.lower() not in _FORMATS:
        raise UsageError(f"{out}: a preview is written as {', '.join(_FORMATS)}. Choose one of these endings.")
    if images < 1 or draws < 1:
        raise UsageError(f"preview: at least one image and one draw are needed, got {images} and {draws}.")
    if not len(samples):
        raise DatasetError("preview: there is no image to show. List images in train.txt.")
    columns = 1 + draws
    count = min(images, len(samples))
    width = columns * _CELL + (columns + 1) * _GAP
    if max(width, (count + 1) * (_CELL + _LINE + _GAP)) > LARGEST_JPEG_SIDE:
        raise UsageError(f"preview: {count} images in {columns} columns are too many for one sheet. Show less of them.")
    lines = [_titles(["as for validation", *(f"epoch {draw + 1}" for draw in range(draws))])]
    present: set[int] = set()
    for row in range(count):
        index = row * len(samples) // count
        sample = samples[index]
        views = [training_view(sample.image, sample.mask, preprocess, Augment(), np.random.default_rng(0))]
        for epoch in range(draws):
            rng = np.random.default_rng((seed, epoch, index))  # as TrainingSamples has it
            views.append(training_view(sample.image, sample.mask, preprocess, augment, rng))
        present.update(*(np.unique(ids).tolist() for _, ids in views))
        height, full = sample.mask.shape
        lines.append(_text(f"{sample.stem}   {full} x {height}", width))
        lines.append(_row([_cell(view, ids, classes) for view, ids in views]))
    lines.append(_legend(sorted(present), classes, width))
    sheet = np.concatenate(lines, axis=0)
    write_bytes(out, encode_png(sheet) if out.suffix.lower() == ".png" else encode_jpeg(sheet))
    return out


def _cell(view: Pixels, ids: Mask, classes: ClassMap) -> Pixels:
    image, mask = resize_image(view, (_CELL, _CELL)), resize_mask(ids, (_CELL, _CELL))
    shown = cv2.addWeighted(overlay(image, mask, classes), _STRENGTH, image, 1 - _STRENGTH, 0)
    return _hatched(np.asarray(shown, np.uint8), mask == IGNORE)


def _hatched(image: Pixels, where: npt.NDArray[np.bool_]) -> Pixels:
    rows, columns = np.indices(where.shape)
    shown = image.copy()
    shown[where & ((rows + columns) % 8 < 2)] = _PALE
    return shown


def _row(cells: Sequence[Pixels]) -> Pixels:
    canvas = np.full((_CELL + _GAP, len(cells) * (_CELL + _GAP) + _GAP, 3), 255, np.uint8)
    for number, cell in enumerate(cells):
        left = _GAP + number * (_CELL + _GAP)
        canvas[:_CELL, left : left + _CELL] = cell
    return canvas


def _titles(titles: Sequence[str]) -> Pixels:
    """One line of text with a title above each column."""
    sheet, pen = _paper(len(titles) * (_CELL + _GAP) + _GAP, _LINE)
    for number, title in enumerate(titles):
        pen.text((_GAP + number * (_CELL + _GAP), 3), title, _BLACK, ImageFont.load_default(_FONT))
    return np.array(sheet)


def _text(text: str, width: int) -> Pixels:
    sheet, pen = _paper(width, _LINE)
    pen.text((_GAP, 3), _plain(text), _BLACK, ImageFont.load_default(_FONT))
    return np.array(sheet)


def _legend(ids: Iterable[int], classes: ClassMap, width: int) -> Pixels:
    """A patch of colour, the id and the name of each class, in as many lines as it takes."""
    font = ImageFont.load_default(_FONT)
    entries = [(k, _plain(_name(k, classes))[:60]) for k in ids]
    places, x, y = [], _GAP, _GAP
    for _, name in entries:
        needed = _LINE + round(font.getlength(name)) + 2 * _GAP
        if x > _GAP and x + needed > width:
            x, y = _GAP, y + _LINE
        places.append((x, y))
        x += needed
    sheet, pen = _paper(width, y + _LINE + _GAP)
    for (_, name), (x, y) in zip(entries, places, strict=True):
        pen.text((x + _LINE, y), name, _BLACK, font)
    canvas = np.array(sheet)
    for (k, _), (x, y) in zip(entries, places, strict=True):
        patch = np.empty((_LINE - 6, _LINE - 6, 3), np.uint8)
        bare = k in (IGNORE, classes.background)
        patch[:] = (128, 128, 128) if bare else classes.colors[k]
        if k == IGNORE:
            patch = _hatched(patch, np.ones(patch.shape[:2], np.bool_))
        if k != classes.background:
            canvas[y : y + patch.shape[0], x : x + patch.shape[1]] = patch
    return canvas


def _name(k: int, classes: ClassMap) -> str:
    if k == IGNORE:
        return "ignore: not counted"
    name = classes.names[k] if k < len(classes) else "no class of the list"
    return f"{k} {name}" + (": bare" if k == classes.background else "")


def _paper(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    sheet = Image.new("RGB", (width, height), _WHITE)
    return sheet, ImageDraw.Draw(sheet)


def _plain(text: str) -> str:
    """Without control characters and halves of characters, which break lines or cannot be drawn."""
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cs") else "?" for c in text)
