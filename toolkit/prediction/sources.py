"""What the user names -> which pictures, and under which names their predictions go."""

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolkit.errors import DataError
from toolkit.files import files_below
from toolkit.voc.layout import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Source:
    """A picture and the relative name, without suffix, of what is written for it."""

    path: Path
    name: PurePosixPath


def find_sources(given: Sequence[str | Path]) -> tuple[Source, ...]:
    """Files, folders (with subfolders) and glob patterns, in a fixed order, each picture once.

    A folder's tree is kept in the names. Where two pictures would share one name, as a.jpg and a.png do, the
    suffix stays in it. Raises DataError for something that is not there or holds no picture.
    """
    found: dict[Path, PurePosixPath] = {}
    seen: set[Path] = set()
    for item in given:
        for path, relative in _expand(str(item)):
            if path.resolve() not in seen:
                seen.add(path.resolve())
                found[path] = PurePosixPath(*relative.parts)
    plain = {path: relative.with_suffix("") for path, relative in found.items()}
    uses = Counter(str(name).casefold() for name in plain.values())
    taken: set[str] = set()
    sources = []
    for path, under in found.items():
        name: PurePosixPath = plain[path] if uses[str(plain[path]).casefold()] == 1 else under
        base, number = name, 1
        while str(name).casefold() in taken:  # two folders given with files of one name
            number += 1
            name = base.with_name(f"{base.name}-{number}")
        taken.add(str(name).casefold())
        sources.append(Source(path, name))
    return tuple(sources)


def _expand(item: str) -> Iterator[tuple[Path, Path]]:
    path = Path(item)
    if path.is_dir():
        pictures = [file for file in files_below(path) if _is_picture(file)]
        if not pictures:
            raise DataError(f"{item}: no picture in it ({', '.join(IMAGE_SUFFIXES)}).")
        yield from ((file, file.relative_to(path)) for file in pictures)
    elif path.is_file():
        yield path, Path(path.name)
    else:
        matches = sorted(glob.glob(item, recursive=True))
        files = [Path(match) for match in matches if Path(match).is_file() and _is_picture(Path(match))]
        if not files:
            pattern = any(character in item for character in "*?[")
            raise DataError(
                f"{item}: " + ("no picture matches the pattern." if pattern else "there is no such file or folder.")
            )
        yield from ((file, Path(file.name)) for file in files)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
