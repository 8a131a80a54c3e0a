"""How the library tells what it is doing, without printing: the caller hands in a `Progress`."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Progress:
    """Receives what happens. This base class ignores everything; the command line shows it."""

    def say(self, line: str) -> None:
        """A fact worth a line."""

    def warn(self, line: str) -> None:
        """Something that the user should look at; the work goes on."""

    def begin(self, what: str, total: int | None) -> None:
        """A stage of `total` equal pieces starts (None: unknown number)."""

    def advance(self, note: str = "") -> None:
        """One piece is done; `note` is a short state such as a loss."""

    def part(self, share: float, note: str = "") -> None:
        """Of the piece in work, which takes long, this much is done, 0 to 1; `note` is short."""

    def end(self) -> None:
        """The stage is over."""

    def track(self, items: Iterable[T], what: str, total: int | None) -> Iterator[T]:
        """Yield the items, advancing after each."""
        self.begin(what, total)
        try:
            for item in items:
                yield item
                self.advance()
        finally:
            self.end()


SILENT = Progress()
