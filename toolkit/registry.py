"""Tables of parts by name, which can be listed without importing any of them."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from toolkit.errors import unknown_name


@dataclass(frozen=True)
class Entry:
    """One line of a table: where the part lives and what it is, in a few words."""

    target: str
    summary: str

    def load(self) -> Any:
        """Import the part's module and return the part itself."""
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)


E = TypeVar("E", bound=Entry)


class Registry(Generic[E]):
    """name -> "module:attribute". Adding a part is one new file and one line here.

    `what` is the part's word in messages ("model", "loss", "writer").
    """

    def __init__(self, what: str, entries: dict[str, E]) -> None:
        self.what = what
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def entry(self, name: str) -> E:
        """The table line of a name. Raises UsageError with the closest known name."""
        try:
            return self._entries[name]
        except KeyError:
            raise unknown_name(self.what, name, self._entries) from None

    def load(self, name: str) -> Any:
        """Import the part's module and return the part itself. Raises UsageError for an unknown name."""
        return self.entry(name).load()
