"""What each image is called in the dataset."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_UNSAFE = re.compile('[\x00-\x1f\x7f\x85<>:"/\\\\|?*\u2028\u2029\ud800-\udfff]')
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
_LONGEST_STEM = 200  # bytes; file systems allow 255 for a name with its suffix


def output_stems(
    paths: Sequence[Path], source: Path, recorded: Mapping[str, str], taken: Iterable[str] = ()
) -> dict[Path, str]:
    """A name for each annotation or picture: its own, or its path joined by `__` where two share one name.

    recorded   stems by path, relative to `source`, that a dataset uses already; they stay as they are
    taken      other stems that are in use

    Names are compared without case and by composed characters, because Windows and macOS do not tell `A.png` from
    `a.png`, nor macOS the two ways to write `ä`. No path inside an annotation has a say.
    """
    relative = {path: path.relative_to(source) for path in paths}
    stems = {path: recorded[name] for path in paths if (name := relative[path].as_posix()) in recorded}
    used = {_folded(stem) for stem in (*recorded.values(), *taken)}
    new = [path for path in paths if path not in stems]
    plain = {path: _safe(path.stem) for path in new}
    uses = Counter([_folded(stem) for stem in plain.values()] + list(used))
    used |= {stem for stem, count in uses.items() if count == 1}
    for path in new:
        stem = plain[path]
        if uses[_folded(stem)] > 1:
            base = stem = _safe("__".join((*relative[path].parts[:-1], stem)))
            number = 1
            while _folded(stem) in used:
                number += 1
                stem = f"{base}__{number}"
            used.add(_folded(stem))
        stems[path] = stem
    return {path: stems[path] for path in paths}


def _folded(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()


def _safe(stem: str) -> str:
    """A stem that survives a list file of one stem a line and every file system."""
    cleaned = _UNSAFE.sub("_", stem).strip().lstrip(".").rstrip(". ") or "unnamed"
    if cleaned.partition(".")[0].casefold() in _RESERVED:
        cleaned = f"{cleaned}_"
    if len(cleaned.encode("utf-8")) > _LONGEST_STEM:
        mark = hashlib.sha256(stem.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        cleaned = cleaned.encode("utf-8")[: _LONGEST_STEM - 14].decode("utf-8", "ignore") + f"__{mark}"
    return cleaned
