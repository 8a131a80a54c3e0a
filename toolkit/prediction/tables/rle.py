"""Masks -> COCO's compressed run-length encoding, all classes in one pass.

Pixels are counted column by column. Counts alternate between pixels outside and inside, outside first; from the fourth
on, each is stored as its difference to the one before the last, in groups of five bits, the lowest first, as characters
from "0" on; the sixth bit says that more follow. Source: maskApi.h and maskApi.c of the COCO API (Lin et al., 2014).
Done here because the run-lengths of all classes are found at once, where the COCO API takes a bitmap for each.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.labels.annotation import Mask

_BAND_PIXELS = 1 << 20
_PACKED_AT_ONCE = 1 << 18
_Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rle:
    """The pixels of one class.

    counts   the compressed run-lengths, ASCII
    area     pixels
    box      (x, y, w, h) around them, pixels
    """

    counts: str
    area: int
    box: tuple[int, int, int, int]


def encode_classes(mask: Mask) -> dict[int, Rle]:
    """uint8 (H, W) -> by class id, in order, those that occur, 255 included."""
    H, W = mask.shape
    starts, values = _runs(mask)
    ends = np.append(starts[1:], H * W)
    order = np.argsort(values, kind="stable")
    ids, first = np.unique(values[order], return_index=True)
    return {
        int(class_id): _encoded(starts[chosen], ends[chosen], (H, W))
        for class_id, chosen in zip(ids, np.split(order, first[1:]), strict=True)
    }


def _runs(mask: Mask) -> tuple[_Positions, npt.NDArray[np.uint8]]:
    """Where each run of one value begins, column by column, and the value."""
    H, W = mask.shape
    starts, values = [], []
    columns = max(1, _BAND_PIXELS // H)
    before = -1
    for left in range(0, W, columns):
        line = np.asarray(cv2.transpose(mask[:, left : left + columns]), np.uint8).ravel()
        begins = np.flatnonzero(np.concatenate(([int(line[0]) != before], line[1:] != line[:-1])))
        starts.append(begins + left * H)
        values.append(line[begins])
        before = int(line[-1])
    return np.concatenate(starts), np.concatenate(values)


def _encoded(starts: _Positions, ends: _Positions, size: tuple[int, int]) -> Rle:
    H, W = size
    counts = np.empty(2 * len(starts) + 1, np.int64)
    counts[0], counts[-1] = starts[0], H * W - ends[-1]
    counts[1::2] = ends - starts
    counts[2:-1:2] = starts[1:] - ends[:-1]
    area = int(counts[1::2].sum())
    last = ends - 1
    left, right = int(starts[0] // H), int(last[-1] // H)
    top, bottom = 0, H - 1
    if np.array_equal(starts // H, last // H):  # no run goes on in the next column
        top, bottom = int((starts % H).min()), int((last % H).max())
    text = b"".join(_packed(counts if counts[-1] else counts[:-1]))
    return Rle(text.decode("ascii"), area, (left, top, right - left + 1, bottom - top + 1))


def _packed(counts: _Positions) -> Iterator[bytes]:
    differences = counts.copy()
    differences[3:] -= counts[1:-2]
    for first in range(0, len(counts), _PACKED_AT_ONCE):
        rest = differences[first : first + _PACKED_AT_ONCE]
        places, open_ = [], np.ones(len(rest), np.bool_)
        while open_.any():
            low = rest & 31
            rest = rest >> 5  # of a negative number, too: the sign is kept
            more = open_ & (rest != np.where(low & 16, -1, 0))
            places.append(np.where(open_, 48 + low + 32 * more, 0).astype(np.uint8))
            open_ = more
        characters = np.stack(places, axis=1)
        yield characters[characters > 0].tobytes()
