"""What an audit found."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.findings import LEVELS, Finding


@dataclass(frozen=True)
class AuditReport:
    """What was looked at and what was found.

    path       the dataset's root or the labelme folder
    kind       "labelme" or "dataset"
    counts     how many images, masks, annotations, shapes, classes, ...
    findings   errors first
    mended     what was done in the copy that was asked for, a line each
    """

    path: Path
    kind: str
    counts: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    mended: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings and notes may be there."""
        return not self.number("error")

    def number(self, level: str) -> int:
        """How many findings of a level there are."""
        return Counter(finding.level for finding in self.findings)[level]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "ok": self.ok,
            "counts": dict(self.counts),
            "levels": {level: self.number(level) for level in LEVELS},
            "findings": [finding.as_dict() for finding in self.findings],
            "mended": list(self.mended),
        }
