"""What looked odd in the user's data: where, what, why it matters and how to mend it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

LEVELS = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing found.

    place      file and field: `cat_07.json: shapes[3].points`
    reason     what is there and which rule it breaks
    way_out    what to do about it
    code       short name of the kind of thing, the same for all of its kind: `few-points`
    level      error: cannot be used; warning: used in part or probably not meant; note: worth knowing
    why        what happens if it stays, "" if the reason says it
    """

    place: str
    reason: str
    way_out: str = ""
    code: str = ""
    level: str = "warning"
    why: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (f"{self.place}: {self.reason}", self.why, self.way_out) if part)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(vars(self))


def by_code(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings of one kind together, kinds in order of first appearance."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.code or finding.reason, []).append(finding)
    return groups
