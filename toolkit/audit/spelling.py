"""Labels that are one word spelt in several ways, or probably mistyped."""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from toolkit.audit.codes import found
from toolkit.findings import Finding
from toolkit.labels.classmap import BACKGROUND_LABEL, IGNORE_LABEL

_SEPARATORS = re.compile(r"[\s_\-.]+")
_SHORTEST = 4  # letters: "cat" and "car" are two words
_RARE = 3
_TIMES_RARER = 5
_MOST_LABELS = 2000  # beyond, pairs are not compared: labels are then no classes

Uses = Mapping[str, tuple[int, str]]
"""How many shapes have a label, and the first file where it occurs; 0 and "" if nobody counted."""


def variants(labels: Uses, place: Path) -> list[Finding]:
    """Labels that differ only in case, blanks, hyphens, underscores or the form of their characters."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        if label not in (BACKGROUND_LABEL, IGNORE_LABEL):
            groups.setdefault(_folded(label), []).append(label)
    findings = []
    for group in groups.values():
        if len(group) > 1:
            main, *others = sorted(group, key=lambda label: (-labels[label][0], label))
            shown = ", ".join(_counted(label, labels) for label in (main, *others))
            findings.append(found("label-variants", place, f"{shown} are the same word.", _mapping(others, main)))
    return findings


def suspicions(labels: Uses, place: Path) -> list[Finding]:
    """Rare labels that are one slip of the keyboard away from a frequent one, and names for the background."""
    findings = []
    for label in labels:
        if _folded(label) in ("background", "bg") and label != BACKGROUND_LABEL:
            text = f"{_counted(label, labels)} is a label like any other."
            findings.append(found("label-background", place, text, _mapping([label], BACKGROUND_LABEL)))
    if len(labels) > _MOST_LABELS:
        return findings
    for rare, (count, _) in labels.items():
        near = [
            label
            for label, (more, _) in labels.items()
            if count <= _RARE and more >= _TIMES_RARER * count and _is_slip(_folded(rare), _folded(label))
        ]
        if near:
            meant = max(near, key=lambda label: labels[label][0])
            text = f"{_counted(rare, labels)} is one letter away from {_counted(meant, labels)}."
            findings.append(found("label-typo", place, text, f"If it is a slip: {_mapping([rare], meant)}"))
    return findings


def _folded(label: str) -> str:
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", label).casefold())


def _is_slip(a: str, b: str) -> bool:
    """Whether one letter was added, left out or changed, or two neighbours swapped; digits count things, mostly."""
    if a == b or min(len(a), len(b)) < _SHORTEST or abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if len(a) == len(b):
        rest_a, rest_b = a[start:], b[start:]
        swapped = rest_a[:2] == rest_b[1::-1] and rest_a[2:] == rest_b[2:]
        return not (a[start].isdigit() or b[start].isdigit()) and (swapped or rest_a[1:] == rest_b[1:])
    longer, shorter = (a, b) if len(a) > len(b) else (b, a)
    return not longer[start].isdigit() and longer[start + 1 :] == shorter[start:]


def _counted(label: str, labels: Uses) -> str:
    count, first = labels[label]
    if not count:
        return f"'{label}'"
    return f"'{label}' ({count} shape{'s' if count > 1 else ''}, first in {first})"


def _mapping(others: list[str], main: str) -> str:
    options = " ".join(f"--map {_quoted(f'{other}={main}')}" for other in others)
    return f"Make them one: seg convert LABELME_DIR {options}"


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w=.,:/+-]+", text) else "'" + text.replace("'", "'\\''") + "'"
