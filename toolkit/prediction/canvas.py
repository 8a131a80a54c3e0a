"""What becomes of logits: the mask at the picture's size, and how sure the model is of it."""

import os
import tempfile
from collections.abc import Sequence
from typing import IO

import numpy as np
import numpy.typing as npt
import torch

from toolkit.data.enlarge import Axis, certainties, shares, winners
from toolkit.errors import RunError
from toolkit.labels.annotation import Mask

_ROWS = 64  # of logits at a time: what a processor's cache holds
_MOST_AT_ONCE = 1 << 24  # bytes that are written to it
_MOST_IN_MEMORY = 1 << 29  # bytes of probabilities; more go to a temporary file


class Sureness:
    """How probable, on average, the pixels that were given a class are to show it."""

    def __init__(self, classes: int) -> None:
        self._total = np.zeros(classes)
        self._count = np.zeros(classes, np.int64)

    def add(self, logits: torch.Tensor) -> None:
        """float32 (K, rows, columns) of other pixels."""
        K = len(self._total)
        for rows in torch.split(logits, _ROWS, 1):
            best, ids = rows.max(0)
            if not bool(best.isfinite().all()):
                raise RunError(
                    "the model's logits are no numbers: its weights are spoilt, or too large for 16 bits. Try "
                    "--precision fp32, or another checkpoint."
                )
            certain = 1 / (rows - best).exp_().sum(0)  # the largest of softmax
            flat = ids.flatten().cpu()
            self._total += torch.bincount(flat, certain.flatten().cpu().double(), minlength=K).numpy()
            self._count += torch.bincount(flat, minlength=K).numpy()

    @property
    def means(self) -> tuple[float, ...]:
        """K numbers, 0..1; nan for a class that no pixel was given."""
        with np.errstate(invalid="ignore"):
            return tuple((self._total / self._count).tolist())


class Canvas:
    """The picture's mask while it is filled, and what else was asked for.

    size    (H, W) of the picture
    inner   (h, w) of the logits that lie under it, without padding
    """

    def __init__(
        self, size: tuple[int, int], inner: tuple[int, int], classes: int, *, confidence: bool, probabilities: bool
    ) -> None:
        H, W = size
        self.mask: Mask = np.empty(size, np.uint8)
        self.confidence = np.empty(size, np.float32) if confidence else None
        self.probabilities = _plane_store(classes, size) if probabilities else None
        self.sureness = Sureness(classes)
        self._inner = inner
        self._rows, self._columns = Axis.of(inner[0], H), Axis.of(inner[1], W)
        self._same = inner == size
        self._strip: torch.Tensor | None = None
        self._first = 0  # the row of logits that the strip begins with
        self._painted = 0  # rows of the picture

    def add(self, row: int, column: int, logits: torch.Tensor) -> None:
        """Finished logits, float32 (K, rows, columns); from left to right, then from top to bottom.

        They are used up at once where they are of the picture's size; else a strip of rows is kept until the rows of
        the picture between its own can be painted.
        """
        h, w = self._inner
        logits = logits[:, : max(0, h - row), : max(0, w - column)]
        if 0 in logits.shape:
            return
        self.sureness.add(logits)
        bottom, right = row + logits.shape[1], column + logits.shape[2]
        if self._same:
            rows, columns = slice(row, bottom), slice(column, right)
            self._paint(rows, columns, logits, *(Axis.of(n, n) for n in logits.shape[1:]))
            return
        if column == 0:
            self._begin_strip(row, logits)
        assert self._strip is not None
        self._strip[:, row - self._first :, column:right] = logits
        if right == w:
            self._paint_strip(self._strip, bottom)

    def whole(self, logits: torch.Tensor) -> None:
        """All logits at once, float32 (K, h, w)."""
        self.sureness.add(logits)
        self._paint(slice(None), slice(None), logits, self._rows, self._columns)

    def _begin_strip(self, row: int, like: torch.Tensor) -> None:
        """Begins with the last row of the one before: rows of the picture lie between it and those to come."""
        before, self._first = self._strip, max(0, row - 1)
        self._strip = like.new_empty((like.shape[0], row - self._first + like.shape[1], self._inner[1]))
        if before is not None:
            self._strip[:, 0] = before[:, -1]

    def _paint_strip(self, strip: torch.Tensor, bottom: int) -> None:
        last = bottom == self._inner[0]
        until = len(self._rows) if last else int(np.searchsorted(self._rows.low, bottom - 1))
        if until > self._painted:
            rows = slice(self._painted, until)
            self._paint(rows, slice(None), strip, self._rows.part(rows, self._first), self._columns)
        self._painted = until

    def _paint(self, rows: slice, columns: slice, logits: torch.Tensor, across: Axis, along: Axis) -> None:
        mask = winners(logits, across, along)
        self.mask[rows, columns] = mask
        if self.confidence is not None:
            self.confidence[rows, columns] = certainties(logits, across, along, mask)
        if self.probabilities is not None:
            shares(logits, across, along, self.probabilities[:, rows, columns])


def _plane_store(classes: int, size: Sequence[int]) -> npt.NDArray[np.float16]:
    shape = (classes, *size)
    if 2 * classes * size[0] * size[1] <= _MOST_IN_MEMORY:
        return np.empty(shape, np.float16)
    try:
        with tempfile.TemporaryFile() as file:  # stays until the array is forgotten
            _reserve(file, 2 * classes * size[0] * size[1])
            return np.memmap(file, np.float16, "r+", shape=shape)
    except OSError as error:
        raise RunError(
            f"{tempfile.gettempdir()}: no room for the probabilities of a picture of {size[1]} x {size[0]} pixels: "
            f"{error.strerror or error}. Have another folder used (TMPDIR), or save neither npz nor tiff."
        ) from None


def _reserve(file: IO[bytes], length: int) -> None:
    """Take up the room now: where it lacks while a mapped page is written, the system ends the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, length)
        return
    while length > 0:
        length -= file.write(bytes(min(length, _MOST_AT_ONCE)))
    file.flush()
