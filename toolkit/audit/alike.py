"""Pictures that are the same or nearly so, and whether they lie on two sides of a split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.audit.codes import found
from toolkit.findings import Finding
from toolkit.voc.lookalike import Fingerprint, lookalikes

_NAMED = 4


@dataclass(frozen=True)
class Look:
    """A picture's name, where it is, how it looks and on which sides of the split it is (`train`, `val`, `test`)."""

    name: str
    place: Path
    digest: bytes
    likeness: Fingerprint
    sides: frozenset[str] = frozenset()


def same_pictures(looks: Sequence[Look]) -> list[list[Look]]:
    """Groups of two or more pictures with equal pixels."""
    groups: dict[bytes, list[Look]] = {}
    for look in looks:
        groups.setdefault(look.digest, []).append(look)
    return [group for group in groups.values() if len(group) > 1]


def alike(looks: Sequence[Look]) -> list[Finding]:
    """One finding for each group of equal, and for each group of nearly equal pictures.

    Equal pictures stand in for each other when likeness is looked for, so each pair is reported once.
    """
    findings = []
    same = same_pictures(looks)
    for group in same:
        across = _across(group)
        way_out = "Keep one of them, on one side." if across else "Keep one of them."
        code = "leak-identical" if across else "identical"
        findings.append(found(code, group[0].place, f"{_named(group)} hold the same picture{across}.", way_out))
    copies = {id(look) for group in same for look in group[1:]}
    single = [look for look in looks if id(look) not in copies]
    for members in lookalikes([look.likeness for look in single]):
        group = [single[index] for index in members]
        across = _across(group)
        way_out = "Make the lists again: seg split keeps such pictures on one side." if across else ""
        text = f"{_named(group)} look nearly the same{across}."
        findings.append(found("leak" if across else "lookalike", group[0].place, text, way_out))
    return findings


def _across(group: Sequence[Look]) -> str:
    """`, in train and in val` if the group is on both sides, else an empty text."""
    sides = sorted({side for look in group for side in look.sides}, key=("train", "val", "test").index)
    if len(sides) < 2 or all(look.sides == group[0].sides for look in group):
        return ""
    shown = []
    for side in sides:
        names = [look.name for look in group if side in look.sides]
        shown.append(f"{side} ({_few(names)})")
    return f", in {' and '.join(shown)}"


def _named(group: Sequence[Look]) -> str:
    return _few([look.name for look in group])


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    text = ", ".join(names[:_NAMED])
    return f"{text}{more}" if more else " and ".join(text.rsplit(", ", 1))


def by_side(lists: dict[str, tuple[str, ...]]) -> Callable[[str], frozenset[str]]:
    """A function that tells on which sides a stem is."""
    members = {side: frozenset(lists.get(side, ())) for side in ("train", "val", "test")}
    return lambda stem: frozenset(side for side, stems in members.items() if stem in stems)
