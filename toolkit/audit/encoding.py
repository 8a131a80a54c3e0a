"""Which way the masks of a dataset hold their classes, and how to get ids out of them.

The commonest cause of "mIoU 0" and of black predictions: masks of 0 and 255, of colours, or with smoothed edges.
What is common to all masks is judged over all of them, because one mask of 0 and 255 may well be class 0 and ignore.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from toolkit.audit.codes import found
from toolkit.audit.contents import Contents
from toolkit.audit.maskfile import MaskFacts
from toolkit.findings import Finding
from toolkit.labels.classmap import BACKGROUND_LABEL, IGNORE, voc_palette

_FIX = "--fix does it."
_MOST_CLASSES = 64  # of colours nobody explained; more are no classes
_FEWEST_THIN = 8


@dataclass(frozen=True)
class Encoding:
    """How to translate the masks.

    values     class id by value, for grey and palette masks; empty: the values are ids
    colors     class id by 0xRRGGBB, for masks of colours; empty: not known
    by_palette take palette masks by the colours of their palettes
    names      class names that go with the ids, where there was no list
    broken     stems of masks that nothing can be made of
    """

    values: dict[int, int] = field(default_factory=dict)
    colors: dict[int, int] = field(default_factory=dict)
    by_palette: bool = False
    names: tuple[str, ...] = ()
    broken: frozenset[str] = frozenset()

    @property
    def in_doubt(self) -> bool:
        """Whether the values as they are say nothing about the classes."""
        return bool(self.values or self.by_palette)


def judge(contents: Contents, masks: dict[str, MaskFacts]) -> tuple[Encoding, list[Finding]]:
    """The encoding of a dataset's masks by stem, and what is wrong with it."""
    findings: list[Finding] = []
    broken = {stem for stem, mask in masks.items() if _unusable(mask, findings)}
    sound = {stem: mask for stem, mask in masks.items() if stem not in broken}
    ids = {stem: mask for stem, mask in sound.items() if mask.values}
    K = len(contents.names) if contents.names is not None else None
    values, value_names, about = _common(contents, list(ids.values()), K)
    findings += about
    if not values:
        broken |= {stem for stem, mask in ids.items() if _smoothed(mask, K, findings)}
        _foreign([mask for stem, mask in ids.items() if stem not in broken], K, findings)
    for mask in ids.values():
        if mask.mode not in ("P", "L", "1") and not mask.mode.startswith(("I", "F")):
            text = f"is {mask.mode} with equal channels of grey."
            findings.append(found("mask-channels", mask.path, text, f"Keep one channel; {_FIX}"))
    colored = {stem: mask for stem, mask in sound.items() if not mask.values}
    broken |= {stem for stem, mask in colored.items() if _smoothed_colors(mask, findings)}
    painted = [mask for stem, mask in colored.items() if stem not in broken]
    colors, color_names = _color_table(contents, painted, K)
    findings += _colored(painted, colors, bool(contents.colors))
    by_palette = _palettes(list(ids.values()), findings)
    if not colors:
        broken |= {stem for stem in colored if stem not in broken}
    return Encoding(values, colors, by_palette, value_names or color_names, frozenset(broken)), findings


def _unusable(mask: MaskFacts, findings: list[Finding]) -> bool:
    if mask.problem:
        findings.append(found("mask-unreadable", mask.path, mask.problem))
    elif mask.is_jpeg:
        text = f"is a JPEG of {mask.distinct} values"
        way_out = "Make the masks again from the annotations and save them as PNG; the exact ids are lost."
        findings.append(found("mask-jpeg", mask.path, f"{text}, named {mask.path.suffix}.", way_out))
    return bool(mask.problem) or mask.is_jpeg


def _common(
    contents: Contents, masks: Sequence[MaskFacts], K: int | None
) -> tuple[dict[int, int], tuple[str, ...], list[Finding]]:
    """What all masks of values have in common: only 0 and 255, or multiplied ids."""
    used = sorted({value for mask in masks for value in mask.values})
    place, n = contents.folder.masks, len(masks)
    if used in ([0, 255], [255]) and not all(list(mask.values) == [255] for mask in masks):
        text = f"all {n} masks hold nothing but 0 and 255; with 255 as ignore there would be one class only."
        way_out = f"Write 1 for 255; {_FIX}"
        return {0: 0, 255: 1}, (BACKGROUND_LABEL, "object"), [found("mask-binary", place, text, way_out)]
    classes = [value for value in used if value < IGNORE]
    for ranks in (used, classes):
        if _evenly_spread(ranks, K):
            step = round(ranks[-1] / (len(ranks) - 1))
            shown = ", ".join(map(str, used))
            text = f"all {n} masks hold the values {shown}: ids times {step}"
            text += f", and there are {K} classes." if K is not None else ", as is done to make them visible."
            table = {value: index for index, value in enumerate(ranks)} | ({255: IGNORE} if 255 not in ranks else {})
            level = "error" if K is not None else "warning"
            finding = found("mask-scaled", place, text, f"Divide the values by {step}; {_FIX}", level=level)
            return table, tuple(f"value_{value}" for value in ranks), [finding]
    return {}, (), []


def _evenly_spread(ranks: list[int], K: int | None) -> bool:
    """Whether sorted values are 0, s, 2s, ... with a step of 2 or more, one for each class if these are known."""
    if len(ranks) < 3 or ranks[0] != 0 or (K is not None and (len(ranks) != K or ranks[-1] < K)):
        return False
    step = ranks[-1] / (len(ranks) - 1)
    smallest = 2 if K is not None else 8
    return step >= smallest and all(abs(value - index * step) <= 1 for index, value in enumerate(ranks))


def _smoothed(mask: MaskFacts, K: int | None, findings: list[Finding]) -> bool:
    foreign = [value for value in mask.values if K is not None and K <= value < IGNORE]
    thin = mask.thin - {IGNORE}
    if K is None:
        smooth = len(thin) >= _FEWEST_THIN and len(thin) >= mask.distinct / 2
    else:
        strays = thin.intersection(foreign)
        many = mask.distinct > 2 * K + 8
        smooth = len(foreign) >= 3 and (many or len(strays) >= max(3, len(foreign) / 2))
    if smooth:
        total = sum(mask.values.values())
        main = sum(count for _, count in Counter(mask.values).most_common(3)) / total
        text = f"holds {mask.distinct} values, three of which make up {main:.1%} of the pixels."
        way_out = (
            "Its edges were smoothed, or it went through JPEG. Make the masks again without smoothing "
            "(nearest neighbour when resizing) and save them as PNG."
        )
        findings.append(found("mask-smoothed", mask.path, text, way_out))
    return smooth


def _smoothed_colors(mask: MaskFacts, findings: list[Finding]) -> bool:
    smooth = not mask.colors or (len(mask.thin) >= _FEWEST_THIN and len(mask.thin) >= mask.distinct / 2)
    if smooth:
        text = f"is {mask.mode} with {mask.distinct} colours: a photograph, or colours with smoothed edges."
        way_out = "Make the masks again with one colour a class, without smoothing, and save them as PNG."
        findings.append(found("mask-smoothed", mask.path, text, way_out))
    return smooth


def _foreign(masks: Sequence[MaskFacts], K: int | None, findings: list[Finding]) -> None:
    if K is None:
        return
    used = {value for mask in masks for value in mask.values}
    way_out = "Add the missing classes to class_names.txt or correct the mask."
    if 0 not in used and max(used - {IGNORE}, default=0) == K:
        way_out = "The ids begin at 1: add a line for class 0 on top of class_names.txt, or subtract 1 from every id."
    for mask in masks:
        foreign = {value: count for value, count in mask.values.items() if K <= value < IGNORE}
        if foreign:
            shown = ", ".join(f"{value} ({count} pixels)" for value, count in list(foreign.items())[:5])
            more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
            text = f"holds {shown}{more}, but there are {K} classes (ids 0 to {K - 1}; 255 is ignore)."
            findings.append(found("foreign-id", mask.path, text, way_out))


def _color_table(
    contents: Contents, masks: Sequence[MaskFacts], K: int | None
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Class id by colour: by a written table, by the VOC colours, or one after the other if no list says otherwise."""
    used = {color for mask in masks for color in mask.colors}
    if not used:
        return {}, ()
    if used <= contents.colors.keys():
        return contents.colors, contents.names or ()
    palette = {int(r) << 16 | int(g) << 8 | int(b): index for index, (r, g, b) in enumerate(voc_palette())}
    if used <= palette.keys():
        ids = {palette[color] for color in used} - {IGNORE}
        if K is None or max(ids, default=0) < K:
            return palette, ()
    if K is None and len(used) <= _MOST_CLASSES:
        names = tuple(BACKGROUND_LABEL if color == 0 else f"color_{color:06x}" for color in sorted(used))
        return {color: index for index, color in enumerate(sorted(used))}, names
    return {}, ()


def _colored(masks: Sequence[MaskFacts], table: dict[int, int], written: bool) -> list[Finding]:
    source = "labelmap.txt" if written else "the VOC colours" if len(table) == 256 else "their order"
    if table:
        way_out = f"Write class ids; {_FIX[:-1]} by {source}."
    else:
        way_out = "Write class ids; which colour is which class has to be said in a labelmap.txt (name:r,g,b:: lines)."
    findings = []
    for mask in masks:
        some = ", ".join(f"#{color:06x}" for color in list(mask.colors)[:4])
        text = f"is {mask.mode} with {mask.distinct} colours ({some}{', ...' if mask.distinct > 4 else ''})."
        findings.append(found("mask-colors", mask.path, text, way_out))
    return findings


def _palettes(masks: Sequence[MaskFacts], findings: list[Finding]) -> bool:
    """Whether palette masks have to be taken by their colours: these are VOC's, but their order differs."""
    first: dict[int, tuple[int, MaskFacts]] = {}
    differing = None
    voc = {int(r) << 16 | int(g) << 8 | int(b) for r, g, b in voc_palette()}
    for mask in masks:
        for value, color in mask.palette.items():
            before, where = first.setdefault(value, (color, mask))
            if before != color and differing is None:
                differing = (value, before, where, color, mask)
    if differing is None:
        return False
    value, before, where, color, mask = differing
    by_color = all(set(mask.palette.values()) <= voc for mask in masks)
    text = f"id {value} is shown as #{color:06x} here and as #{before:06x} in {where.path.name}."
    way_out = f"Take the classes by colour; {_FIX}" if by_color else "Look at both, and write one palette."
    findings.append(found("palette-differs", mask.path, text, way_out))
    return by_color and all(mask.palette for mask in masks)


def lookup(table: dict[int, int]) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """uint8 (256,): id by value, what is not in the table as it is."""
    ids = np.arange(256, dtype=np.uint8)
    for value, class_id in table.items():
        ids[value] = class_id
    return ids
