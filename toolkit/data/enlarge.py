"""Logits at the network's size -> masks and probabilities at the picture's, without K planes of that size.

Logits are enlarged bilinearly (the same as torch's interpolation with align_corners=False) and the class with the
largest one wins, the first among equals. Between four neighbouring logits that one class wins all, it wins
everywhere, for each interpolated value is a mean of the four: only the rest, the borders of regions, is computed.

K classes; h, w: the logits' size; H, W: the picture's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from toolkit.labels.annotation import Mask

_BAND = 1_000_000  # logits kept at full size at a time; what fits a processor's cache is twice as fast as more
_OPEN = 255  # no class has this id


@dataclass(frozen=True)
class Axis:
    """Where the pixels of one axis of a picture lie among logits.

    low      int64 (n), in ascending order: of the two neighbouring logits the one before the pixel's centre
    weight   float32 (n), 0..1: of the other one, which follows it; 0 where none follows
    """

    low: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]

    @classmethod
    def of(cls, logits: int, pixels: int) -> "Axis":
        """For so many logits under so many pixels."""
        centres = ((np.arange(pixels) + 0.5) * (logits / pixels) - 0.5).clip(0, logits - 1)
        low = np.floor(centres).astype(np.int64)
        return cls(low, (centres - low).astype(np.float32))

    def part(self, pixels: slice, first: int) -> "Axis":
        """Some of the pixels, over logits that begin with number `first`."""
        return Axis(self.low[pixels] - first, self.weight[pixels])

    def __len__(self) -> int:
        return len(self.low)


def axes(logits: torch.Tensor, size: tuple[int, int]) -> tuple[Axis, Axis]:
    """Rows and columns for float (K, h, w) under a picture of (H, W)."""
    return Axis.of(logits.shape[1], size[0]), Axis.of(logits.shape[2], size[1])


def winners(logits: torch.Tensor, rows: Axis, columns: Axis) -> Mask:
    """float (K, h, w) -> class ids, uint8 (H, W)."""
    if logits.device.type == "cpu":
        return _winners_at_borders(logits.float().numpy(), rows, columns)
    mask = np.empty((len(rows), len(columns)), np.uint8)
    for band, full in bands(logits, rows, columns):
        mask[band] = full.argmax(0).to(torch.uint8).cpu().numpy()
    return mask


def certainties(logits: torch.Tensor, rows: Axis, columns: Axis, mask: Mask) -> npt.NDArray[np.float32]:
    """float (K, h, w), uint8 (H, W) -> float32 (H, W), 0..1: the probability of the class in the mask."""
    found = np.empty(mask.shape, np.float32)
    for band, full in bands(logits, rows, columns):
        ids = torch.from_numpy(mask[band].astype(np.int64)).to(full.device)
        found[band] = full.softmax(0).gather(0, ids[None])[0].cpu().numpy()
    return found


def shares(logits: torch.Tensor, rows: Axis, columns: Axis, out: npt.NDArray[np.float16]) -> None:
    """float (K, h, w) -> fills float16 (K, H, W), 0..1: the probability of every class."""
    for band, full in bands(logits, rows, columns):
        out[:, band] = full.softmax(0).to(torch.float16).cpu().numpy()


def bands(logits: torch.Tensor, rows: Axis, columns: Axis) -> Iterator[tuple[slice, torch.Tensor]]:
    """float (K, h, w) -> rows of the picture, and their logits, float32 (K, rows, W), from top to bottom."""
    logits = logits.float()
    K, h, w = logits.shape
    top, vertical = (torch.from_numpy(part).to(logits.device) for part in (rows.low, rows.weight))
    left, horizontal = (torch.from_numpy(part).to(logits.device) for part in (columns.low, columns.weight))
    bottom, right = (top + 1).clamp(max=h - 1), (left + 1).clamp(max=w - 1)
    count = max(1, _BAND // (K * len(columns)))
    for start in range(0, len(rows), count):
        band = slice(start, min(start + count, len(rows)))
        lines = torch.lerp(logits[:, top[band]], logits[:, bottom[band]], vertical[band, None])
        yield band, torch.lerp(lines[:, :, left], lines[:, :, right], horizontal)


def first_largest(values: npt.NDArray[np.floating[Any]]) -> Mask:
    """float (K, ...) -> uint8 (...): which of the K is the largest, the first among equals."""
    best = values[0].copy()
    ids = np.zeros(best.shape, np.uint8)
    for k in range(1, len(values)):  # numpy's own argmax goes through memory the long way
        np.copyto(ids, np.uint8(k), where=values[k] > best)
        np.maximum(best, values[k], out=best)
    return ids


def _winners_at_borders(logits: npt.NDArray[np.float32], rows: Axis, columns: Axis) -> Mask:
    K, h, w = logits.shape
    coarse = first_largest(logits)
    below = coarse[np.minimum(np.arange(h) + 1, h - 1)]
    beside = np.minimum(np.arange(w) + 1, w - 1)
    agreed = (coarse == below) & (coarse == coarse[:, beside]) & (coarse == below[:, beside])
    wide = np.where(agreed, coarse, np.uint8(_OPEN))[:, columns.low]
    mask: Mask = wide[rows.low]
    starts = np.searchsorted(rows.low, np.arange(h + 1))  # how many of the picture's rows lie above each row of logits
    for i in np.flatnonzero((wide == _OPEN).any(1)):
        unsure = np.flatnonzero(wide[i] == _OPEN)
        left, share = columns.low[unsure], columns.weight[unsure]
        right = np.minimum(left + 1, w - 1)
        upper, lower = (
            _lerp(line[:, left], line[:, right], share) for line in (logits[:, i], logits[:, min(i + 1, h - 1)])
        )
        count = max(1, _BAND // (K * len(unsure)))
        for start in range(starts[i], starts[i + 1], count):
            band = slice(start, min(start + count, starts[i + 1]))
            mask[band, unsure] = first_largest(_lerp(upper[:, None], lower[:, None], rows.weight[band, None]))
    return mask


def _lerp(
    low: npt.NDArray[np.float32], high: npt.NDArray[np.float32], share: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    return low + (high - low) * share
