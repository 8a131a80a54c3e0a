"""How the work is divided: between the calls of a job array, and between the processes of each call."""

import re
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.prediction.folder.journal import journal_name


@dataclass(frozen=True)
class Shard:
    """The `number`-th, from 1, of `of` calls that share the work."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """`2/8`. Raises UsageError for anything else."""
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
        shard = cls(int(match[1]), int(match[2])) if match else None
        if shard is None or not 1 <= shard.number <= shard.of:
            raise UsageError(f"shard: '{text}' is none. Give its number and how many there are: 1/8 to 8/8.")
        return shard


@dataclass(frozen=True)
class Share:
    """What one process does: each `parts`-th source, from the `part`-th on.

    part    from 0
    parts   processes of all calls that share the work
    call    the parts of all processes of this call
    """

    part: int
    parts: int
    call: range

    @classmethod
    def of(cls, shard: Shard | None, *, rank: int, world: int) -> "Share":
        """That of process `rank` of the `world` ones of a call."""
        first, calls = (0, 1) if shard is None else ((shard.number - 1) * world, shard.of)
        return cls(first + rank, calls * world, range(first, first + world))

    def indices(self, sources: int) -> range:
        """Of the sources that this process predicts."""
        return range(self.part, sources, self.parts)

    def journal(self, root: Path) -> Path:
        """The file that this process writes its lines into."""
        return root / journal_name(self.part, self.parts)

    def journals(self, root: Path) -> list[Path]:
        """Those of all processes of this call."""
        return [root / journal_name(part, self.parts) for part in self.call]
