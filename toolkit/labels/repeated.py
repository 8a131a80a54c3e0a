"""Keys that stand several times in one object, as files do that were merged by hand or by a version control program.

JSON leaves open which one counts; Python's readers, and so labelme and `seg`, take the last and say nothing.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from toolkit.findings import Finding

_WAY_OUT = "Join them in a text editor before labelme saves the file, which keeps the last one only."
_LONGEST = 40  # characters of a value that a message shows
_EXAMPLES = 3
_PICTURE = b'"imageData"'
_LONG = 100_000  # bytes; less is read through sooner than it is cut


@dataclass(frozen=True)
class Keys:
    """The keys that matter in an annotation file: its own, those of each of its `shapes`, those of its `flags`."""

    file: tuple[str, ...]
    shape: tuple[str, ...]
    flags: tuple[str, ...]

    def repeated(self, path: Path, data: bytes, shapes: int) -> list[Finding]:
        """A finding for each key that says several things in one object, all but the last of which are lost.

        path     used in messages only
        data     the text of the file in UTF-8, which was read without an error
        shapes   how many shapes were read from it

        A key that only some shapes have may be missed; label and points, which all have, never are. Keys written with
        escapes are not looked for.
        """
        most = self._most
        if all(count <= most[key][0] + most[key][1] * shapes for key, count in self._count(data).items()):
            return []
        try:  # seldom, so it may take its time
            file = json.loads(data.decode("utf-8", "replace"), object_pairs_hook=_object, parse_int=float)
            return [_finding(path, *one) for one in self._differing(file)]
        except (ValueError, RecursionError):  # what the reader passes over does not matter here either
            return []

    def _count(self, data: bytes) -> "Counter[bytes]":
        """How often each key is there. An embedded picture, which may be most of the file, is stepped over."""
        if len(data) < _LONG:
            return Counter(self._pattern.findall(data))
        start = data.find(b'"', data.find(_PICTURE) + len(_PICTURE))
        end = data.find(b'"', start + 1)
        if end - start < _LONG:
            return Counter(self._pattern.findall(data))
        return Counter(self._pattern.findall(data, 0, start)) + Counter(self._pattern.findall(data, end))

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        return re.compile(b'"(%b)"[ \t\r\n]*:' % b"|".join(map(re.escape, self._most)))

    @cached_property
    def _most(self) -> dict[bytes, tuple[int, int]]:
        """How often each key can be there without standing twice: so many times, and so many for each shape."""
        once, often = Counter((*self.file, *self.flags)), Counter(self.shape)
        return {key.encode(): (once[key], often[key]) for key in once | often}

    def _differing(self, file: Any) -> Iterable[tuple[str, list[Any]]]:
        """Field and values, those that matter only."""
        parts: list[tuple[str, Any, tuple[str, ...]]] = [("", file, self.file)]
        if isinstance(file, dict):
            parts.append(("flags.", file.get("flags"), self.flags))
            shapes = file.get("shapes")
            if isinstance(shapes, list):
                parts += [(f"shapes[{index}].", shape, self.shape) for index, shape in enumerate(shapes)]
        for place, part, keys in parts:
            if isinstance(part, _Ambiguous):
                yield from ((f"{place}{key}", values) for key, values in part.values_of.items() if key in keys)


class _Ambiguous(dict[str, Any]):
    """An object as Python reads it, and all values of those keys of which an earlier one is lost, in the file's order."""

    values_of: dict[str, list[Any]]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    last = dict(pairs)
    if len(last) == len(pairs):
        return last
    values: dict[str, list[Any]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    ambiguous = _Ambiguous(last)
    ambiguous.values_of = {key: several for key, several in values.items() if _is_loss(several)}
    return ambiguous


def _is_loss(values: list[Any]) -> bool:
    return any(value != values[-1] and value not in (None, "", [], {}) for value in values)


def _finding(path: Path, field: str, values: list[Any]) -> Finding:
    lost = ", ".join([*map(_brief, values[:-1][:_EXAMPLES]), *(["..."] if len(values) > _EXAMPLES + 1 else [])])
    text = f"is there {len(values)} times; the last one counts, as in labelme ({_brief(values[-1])}; not {lost})."
    return Finding(f"{path}: {field}", text, _WAY_OUT, "repeated-key")


def _brief(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"[:_LONGEST]
    # neither lets half a character or a command to the terminal out
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    if len(text) <= _LONGEST:
        return text
    what = "characters" if isinstance(value, str) else "entry" if len(value) == 1 else "entries"
    return f"{len(value)} {what}"
