"""Polygons: area, the part inside a frame, crossings of their own edges. The work is bounded for any number of points.

Points are float64 (n, 2) x, y in pixels.
"""

import math

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

_MOST_PAIRS = 20_000_000
_PAIRS_AT_ONCE = 2_000_000


def signed_area(points: Points) -> float:
    """In square pixels, by the shoelace formula; what is surrounded in opposite directions cancels."""
    x, y = (points - points[:1]).T  # near the origin nothing is lost to rounding
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def share_inside(points: Points, size: tuple[int, int]) -> float:
    """Which share of a polygon's area lies in a frame of (H, W), 0..1. Clipping after Sutherland and Hodgman (1974)."""
    whole = abs(signed_area(points))
    if whole == 0:
        return float(np.mean(is_inside(points, size)))
    clipped = points
    H, W = size
    for axis, limit, sign in ((0, -0.5, 1), (0, W - 0.5, -1), (1, -0.5, 1), (1, H - 0.5, -1)):
        clipped = _clipped(clipped, axis, limit, sign)
        if len(clipped) < 3:
            return 0.0
    return min(1.0, abs(signed_area(clipped)) / whole)


def is_inside(points: Points, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """bool (n,): within the frame, half a pixel of border included."""
    H, W = size
    return np.asarray(((points >= -0.5) & (points <= (W - 0.5, H - 0.5))).all(axis=1))


def largest_loop(points: Points) -> float:
    """Where edges cross, a polygon falls into two loops; the area of the smaller one, largest over all crossings.

    0 if no edge crosses another one, or if too many would have to be compared to tell.
    """
    ring = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    n = len(ring)
    if n < 4:
        return 0.0
    ends = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring, ends), np.maximum(ring, ends)
    order = np.argsort(low[:, 0], kind="stable")
    # an edge meets those that begin, from left to right, before it ends
    stop = np.searchsorted(low[order, 0], high[order, 0], side="right")
    partners = np.maximum(stop - np.arange(n) - 1, 0)
    if partners.sum() > _MOST_PAIRS:
        return 0.0
    doubled = np.concatenate([[0.0], np.cumsum(_cross(ring, ends))])
    largest, start = 0.0, 0
    total = np.cumsum(partners)
    while start < n:
        before = total[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(total, before + _PAIRS_AT_ONCE, side="right")))
        rows = np.repeat(np.arange(start, end), partners[start:end])
        offsets = np.arange(len(rows)) - np.repeat(total[start:end] - partners[start:end] - before, partners[start:end])
        i, j = order[rows], order[rows + 1 + offsets]
        overlap = (low[i, 1] <= high[j, 1]) & (low[j, 1] <= high[i, 1])
        largest = max(largest, _loops(ring, ends, doubled, i[overlap], j[overlap]))
        start = end
    return largest


def _loops(ring: Points, ends: Points, doubled: Points, i: npt.NDArray[np.int64], j: npt.NDArray[np.int64]) -> float:
    i, j = np.minimum(i, j), np.maximum(i, j)
    p, r, q, s = ring[i], ends[i] - ring[i], ring[j], ends[j] - ring[j]
    side_q, side_s = _cross(r, q - p), _cross(r, q + s - p)
    side_p, side_r = _cross(s, p - q), _cross(s, p + r - q)
    proper = (side_q * side_s < 0) & (side_p * side_r < 0)
    if not proper.any():
        return 0.0
    i, j, p, r = i[proper], j[proper], p[proper], r[proper]
    t = side_p[proper] / (side_p[proper] - side_r[proper])
    meet = p + t[:, None] * r
    # from the meeting point over points i + 1 .. j back to it
    inner = doubled[j] - doubled[i + 1] + _cross(meet, ends[i]) + _cross(ring[j], meet)
    outer = doubled[-1] - inner
    return float(np.minimum(np.abs(inner), np.abs(outer)).max()) / 2


def _cross(a: Points, b: Points) -> Points:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _clipped(points: Points, axis: int, limit: float, sign: int) -> Points:
    """The part on one side of a line, in time proportional to the number of points."""
    depth = sign * (points[:, axis] - limit)
    after, depth_after = np.roll(points, -1, axis=0), np.roll(depth, -1)
    inside, crosses = depth >= 0, (depth >= 0) != (depth_after >= 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        cut = points + (depth / (depth - depth_after))[:, None] * (after - points)
    both = np.stack([points, cut], axis=1).reshape(-1, 2)
    return np.asarray(both[np.stack([inside, crosses], axis=1).ravel()])


def box(points: Points) -> tuple[float, float]:
    """Width and height, as distances between outermost points."""
    width, height = np.ptp(points, axis=0)
    return float(width), float(height)


def circle_points(center: tuple[float, float], radius: float) -> Points:
    """A circle as a polygon of 32 points."""
    angles = np.arange(32) * (2 * math.pi / 32)
    return np.stack([center[0] + radius * np.cos(angles), center[1] + radius * np.sin(angles)], axis=1)
