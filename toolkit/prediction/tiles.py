"""Pictures larger than what the network sees at a time: overlapping tiles, blended.

Tiles begin at multiples of the stride, so the network pools the same pixels as it would in the whole picture. Their
logits are averaged with the weights of a Gaussian around the tile's middle (as Isensee et al. 2021, nnU-Net,
doi:10.1038/s41592-020-01008-z, do), since near its own border a tile does not see what lies beyond. What lies nearest
to a border inside the picture counts nothing, so a network that sees no further than that gives what it gives for the
whole.

Only the rows that two rows of tiles share are kept, and one tile's window; the logits of the whole never exist.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from toolkit.data.preprocess import pad_image

_SPREAD = 1 / 8  # of the Gaussian: its standard deviation as a share of the tile's side

Compute = Callable[[torch.Tensor], torch.Tensor]
"""uint8 (N, h, w, 3) -> float32 (N, K, r h, r w)."""

Take = Callable[[int, int, torch.Tensor], None]
"""Receives row, column and finished logits, float32 (K, rows, columns): from left to right, rows from top to bottom."""


@dataclass(frozen=True)
class Span:
    """One axis of the grid.

    starts   where each tile begins, in ascending order, multiples of the stride
    length   of every tile
    whole    of all together: the picture's, padded to the stride
    """

    starts: tuple[int, ...]
    length: int
    whole: int

    @classmethod
    def over(cls, pixels: int, tile: int, overlap: float, stride: int) -> "Span":
        """Cover so many pixels with tiles that share at least about `overlap` of their side with the next, evenly."""
        whole, length = pixels + -pixels % stride, tile + -tile % stride
        if whole <= length:
            return cls((0,), whole, whole)
        step = max(stride, int(length * (1 - overlap)) // stride * stride)
        count = math.ceil((whole - length) / step) + 1
        starts = [round(i * (whole - length) / (count - 1) / stride) * stride for i in range(count)]
        return cls(tuple(starts), length, whole)

    @property
    def count(self) -> int:
        return len(self.starts)

    @property
    def steps(self) -> tuple[int, ...]:
        """How much of each tile no later one touches, from its start on."""
        following = (*self.starts[1:], self.starts[-1] + self.length)
        return tuple(after - start for start, after in zip(self.starts, following, strict=True))

    def shares(self, finer: int) -> npt.NDArray[np.float32]:
        """float32 (tiles, finer * length): the weights of each tile's pixels; over all tiles they add up to 1.

        Beside another tile, the outermost quarter of what the two share counts nothing.
        """
        length = finer * self.length
        bells = np.tile(
            np.exp(-0.5 * (((np.arange(length) + 0.5) / length - 0.5) / _SPREAD) ** 2), (len(self.starts), 1)
        )
        for i, step in enumerate(self.steps[:-1]):
            margin = finer * (self.length - step) // 4
            bells[i, length - margin :] = 0
            bells[i + 1, :margin] = 0
        total = np.zeros(finer * self.whole)
        for start, bell in zip(self.starts, bells, strict=True):
            total[finer * start : finer * start + length] += bell
        return np.array(
            [bell / total[finer * s : finer * s + length] for s, bell in zip(self.starts, bells, strict=True)],
            np.float32,
        )


def blend(
    image: npt.NDArray[np.uint8],
    rows: Span,
    columns: Span,
    compute: Compute,
    take: Take,
    *,
    finer: int = 1,
    batch: int = 1,
    filling: tuple[int, int, int] = (0, 0, 0),
) -> None:
    """Cut a picture, uint8 (h, w, 3), into tiles and hand the blended logits of all of it to `take`, block by block.

    finer     logits have so many times as many rows and columns as the picture
    filling   colour of the padding at the right and bottom
    Blocks cover the padding too.
    """
    r = finer
    carried: torch.Tensor | None = None  # what rows of tiles above gave to rows that are not finished
    row_shares, column_shares = rows.shares(r), columns.shares(r)
    deepest = max((r * (rows.length - step) for step in rows.steps[:-1]), default=0)
    for top, step, row_share in zip(rows.starts, rows.steps, row_shares, strict=True):
        window: torch.Tensor | None = None
        done, unfinished = r * step, r * (rows.length - step)
        tiles = _row_of_tiles(image, top, rows, columns, compute, batch, filling)
        for left, width, share, logits in zip(columns.starts, columns.steps, column_shares, tiles, strict=True):
            weights = torch.from_numpy(row_share[:, None] * share).to(logits.device)
            if window is None:
                window = torch.zeros_like(logits)
            if carried is None:
                carried = logits.new_zeros((logits.shape[0], deepest, r * columns.whole))
            window.addcmul_(logits, weights)
            ready = window[:, :, : r * width]
            here = slice(r * left, r * (left + width))
            above = min(deepest, ready.shape[1])
            ready[:, :above] += carried[:, :above, here]
            take(r * top, r * left, ready[:, :done])
            carried[:, :unfinished, here] = ready[:, done:]
            carried[:, unfinished:, here] = 0
            moved = torch.zeros_like(window)
            moved[:, :, : moved.shape[2] - r * width] = window[:, :, r * width :]
            window = moved


def _row_of_tiles(
    image: npt.NDArray[np.uint8],
    top: int,
    rows: Span,
    columns: Span,
    compute: Compute,
    batch: int,
    filling: tuple[int, int, int],
) -> Iterator[torch.Tensor]:
    """The logits of the tiles of one row, from left to right, float32 (K, r h, r w) each."""
    size = (rows.length, columns.length)
    for first in range(0, len(columns.starts), batch):
        crops = [image[top : top + size[0], left : left + size[1]] for left in columns.starts[first : first + batch]]
        tiles = np.stack([pad_image(crop, size, filling) for crop in crops])
        yield from compute(torch.from_numpy(tiles))
