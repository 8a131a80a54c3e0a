"""Labels that become classes of their own and may be slips of the keyboard: said, not refused."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from toolkit.findings import Finding
from toolkit.labels.classmap import BACKGROUND_LABEL, ClassMap


def shapes_text(count: int) -> str:
    """`1 shape`, `2 shapes`."""
    return f"{count} shape{'s' if count != 1 else ''}"


def slips(
    counts: Counter[str], new: Mapping[str, Path], known: ClassMap | None, source: Path, names_file: Path | None
) -> list[Finding]:
    """Names that are nearly the same, and names that an existing dataset did not have: each name is said once.

    counts      shapes by name, of what is converted
    new         names that become classes now, with an annotation for each
    known       the classes that the dataset had before; None: it had none
    source      the folder that is converted, for messages; names_file: the dataset's list of classes
    """
    old = known.names if known is not None else ()
    findings = []
    said: set[str] = set()
    for names in _alike({*counts, *old}):
        if any(counts[name] for name in names):
            said.update(names)
            main = max(names, key=lambda name: (name == BACKGROUND_LABEL, name in old, counts[name], name))
            others = [name for name in names if name != main]
            listed = ", ".join(f"'{name}' ({_uses(counts[name])})" for name in names)
            text = f"{listed} differ in case, blanks or hyphens only and become classes of their own."
            # the line of an older class stays: masks hold the ids that come after it
            undo = _undo(others, names_file) if known is not None and all(name in new for name in others) else ""
            merge = " ".join(f"--map '{name}={main}'" for name in others)
            findings.append(Finding(str(source), text, f"If they are one class: {undo}{merge}", "similar-labels"))
    for name in sorted(new.keys() - said) if known is not None else ():
        text = f"'{name}' ({_uses(counts[name])}, first in {new[name]}) is a new class, which the dataset did not have."
        way_out = f"If it is a slip: {_undo([name], names_file)}the label corrected, or --map OLD=NEW."
        findings.append(Finding(str(source), text + (known.closest(name) if known else ""), way_out, "new-class"))
    return findings


def _alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ in case, blanks, hyphens or underscores only."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(re.sub(r"[\s_\-]+", "", name).casefold() or name, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _uses(count: int) -> str:
    return shapes_text(count) if count else "in the dataset"


def _undo(names: list[str], names_file: Path | None) -> str:
    """First the line, then the masks: the other way round, masks of later classes would keep the ids they had."""
    listed = " and ".join(f"'{name}'" for name in names)
    return f"take {listed} out of {names_file}, then run the command again with "
