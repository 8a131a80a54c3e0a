"""Sentences about classes that cannot be learnt, or hardly, and about weights that hinder."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from toolkit.labels.classmap import ClassMap
from toolkit.voc.counts import PixelCounts

_FEWEST_IMAGES = 3
_PICTURE = 512  # pixels a side: the default of --size
_FEWEST_PIXELS = 64  # 8 x 8 of them: two by two where the features are a quarter of the picture's size
_WIDE = 1000
_STEEP = ("inverse", "median", "effective")
_SHOWN = 8


def warnings_about(
    method: str, weights: npt.NDArray[np.float64] | None, counts: PixelCounts, classes: ClassMap
) -> tuple[str, ...]:
    """A sentence for each thing that is wrong; no class is in two of the first four.

    method    as in ClassWeights
    weights   float64 (K,) or None
    """
    given_zero = np.zeros(len(classes), bool) if weights is None else weights == 0
    absent = counts.pixels == 0
    unwanted = given_zero & ~absent
    few = (counts.images < _FEWEST_IMAGES) & ~absent & ~unwanted
    where = counts.pixels / np.maximum(counts.among, 1) * _PICTURE**2
    tiny = (where < _FEWEST_PIXELS) & ~(absent | unwanted | few)
    return (
        *_absent(absent & given_zero, " (weight 0)", counts, classes),
        *_absent(absent & ~given_zero, "", counts, classes),
        *_unwanted(unwanted, classes),
        *_few(few, counts, classes),
        *_tiny(tiny, where, classes),
        *_wide(method, weights, classes),
    )


def _absent(which: npt.NDArray[np.bool_], weight: str, counts: PixelCounts, classes: ClassMap) -> Iterator[str]:
    names = [f"'{classes.names[k]}'" for k in np.flatnonzero(which)]
    if names:
        white = " If its pixels are 255 in the masks, that means ignore: see seg check." if counts.ignored else ""
        yield (
            f"{_subject(names)} in no training image{weight}: there is nothing to learn from. "
            f"Annotate some, or make the lists again with seg split.{white}"
        )


def _unwanted(which: npt.NDArray[np.bool_], classes: ClassMap) -> Iterator[str]:
    names = [f"'{classes.names[k]}'" for k in np.flatnonzero(which)]
    if names:
        yield f"{_subject(names)} not learnt: weight 0, as given."


def _few(which: npt.NDArray[np.bool_], counts: PixelCounts, classes: ClassMap) -> Iterator[str]:
    names = [f"'{classes.names[k]}' ({_images(int(counts.images[k]))})" for k in np.flatnonzero(which)]
    if names:
        yield (
            f"{_subject(names)} in fewer than {_FEWEST_IMAGES} training images: too few to learn from. "
            "Annotate more, or merge with another class."
        )


def _tiny(which: npt.NDArray[np.bool_], where: npt.NDArray[np.float64], classes: ClassMap) -> Iterator[str]:
    names = [f"'{classes.names[k]}' ({where[k]:.1f} pixels)" for k in np.flatnonzero(which)]
    if names:
        yield (
            f"{_subject(names)} too small to learn: below {_FEWEST_PIXELS} pixels of a {_PICTURE} x {_PICTURE} picture "
            "on average. Cut the pictures into tiles, train with a larger --size, or merge with another class."
        )


def _wide(method: str, weights: npt.NDArray[np.float64] | None, classes: ClassMap) -> Iterator[str]:
    if weights is None or method.partition(":")[0] not in _STEEP or not weights.any():
        return
    order = np.argsort(weights, kind="stable")
    largest, smallest = order[-1], order[weights[order] > 0][0]
    ratio = weights[largest] / weights[smallest]
    if ratio > _WIDE:
        yield (
            f"'{classes.names[largest]}' weighs {ratio:,.0f} times as much as '{classes.names[smallest]}': "
            "a few pixels decide what is learnt. sqrt and enet are gentler."
        )


def _subject(names: list[str]) -> str:
    if len(names) == 1:
        return f"class {names[0]} is"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"classes {', '.join(names[:_SHOWN])}{more} are"


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
