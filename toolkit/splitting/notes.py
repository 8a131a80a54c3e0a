"""What could not be had as it was asked for, in sentences."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from toolkit.voc.counts import PixelCounts

_NAMED = 5
_WORDS = {"train": "trained on", "val": "validated", "test": "tested"}


def notes_on_sizes(sizes: Mapping[str, int], targets: Mapping[str, int], *, in_groups: bool) -> list[str]:
    """Sides that have other numbers of images than were asked for."""
    off = [
        f"{name} has {sizes[name]} images instead of {target}"
        for name, target in targets.items()
        if sizes[name] != target
    ]
    if not off:
        return []
    if in_groups:
        return [f"{', '.join(off)}: images that belong together were not torn apart."]
    return [f"{', '.join(off)}: so that classes are on every side. --random keeps the numbers."]


def notes_on_classes(
    names: Sequence[str], counts: Mapping[str, PixelCounts], units: Sequence[int], background: int | None, unit: str
) -> list[str]:
    """Classes that are not on a side.

    units   of how many images, or groups of them, each class is a part; `unit`: what they are called
    """
    images = {side: each.images for side, each in counts.items()}
    everywhere = np.sum(list(images.values()), axis=0)
    absent = [k for k in range(len(names)) if not everywhere[k] and k != background]
    notes = [f"{_classes(names, absent)} in no image at all."] if absent else []
    for side, present in images.items():
        lacking = [k for k in range(len(names)) if everywhere[k] and not present[k]]
        single = [k for k in lacking if units[k] == 1]
        others = [k for k in lacking if units[k] != 1]
        if single:
            where = f"in one {unit} only" if len(single) == 1 else f"in one {unit} each"
            notes.append(f"{_classes(names, single)} {where}, so not {_WORDS[side]} ({side}).")
        if others:
            numbers = f" ({unit}s: {', '.join(str(units[k]) for k in others[:_NAMED])})"
            notes.append(f"{_classes(names, others)} not {_WORDS[side]} ({side}){numbers if units else ''}.")
    return notes


def notes_on_folds(names: Sequence[str], folds: Sequence[PixelCounts], background: int | None) -> list[str]:
    """Classes that some folds cannot validate, and those that one fold cannot learn."""
    on = np.sum([fold.images > 0 for fold in folds], axis=0)
    absent = [k for k in range(len(names)) if on[k] == 0 and k != background]
    notes = [f"{_classes(names, absent)} in no image at all."] if absent else []
    single = [k for k in range(len(names)) if on[k] == 1]
    if single:
        notes.append(f"{_classes(names, single)} in one fold only, which cannot learn what it validates.")
    some = [k for k in range(len(names)) if 1 < on[k] < len(folds)]
    if some:
        numbers = ", ".join(str(int(on[k])) for k in some[:_NAMED])
        notes.append(f"{_classes(names, some)} not validated in every fold (in {numbers} of {len(folds)}).")
    return notes


def listed(stems: Iterable[str]) -> str:
    """`'a', 'b' and 7 more have`: the first few of some images, as the beginning of a sentence."""
    names = sorted(stems)
    shown = ", ".join(f"'{name}'" for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{shown}{more} {'has' if len(names) == 1 else 'have'}"


def _classes(names: Sequence[str], chosen: Sequence[int]) -> str:
    shown = ", ".join(f"'{names[k]}'" for k in chosen[:_NAMED])
    more = f" and {len(chosen) - _NAMED} more" if len(chosen) > _NAMED else ""
    return f"{'class' if len(chosen) == 1 else 'classes'} {shown}{more}{' is' if len(chosen) == 1 else ' are'}"
