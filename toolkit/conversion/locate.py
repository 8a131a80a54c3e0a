"""Where the picture of an annotation is. Paths in annotations were written on other machines, before files moved."""

import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from toolkit.files import files_below
from toolkit.findings import Finding
from toolkit.voc.layout import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Annotated:
    """An annotation file, and the picture file that belongs to it.

    picture    None if the picture is embedded, or if there is none: `missing` says why
    beside     for an embedded picture: the file that is recorded as its origin, if it is there
    """

    path: Path
    picture: Path | None = None
    beside: Path | None = None
    missing: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass
class PictureFinder:
    """Finds pictures for the annotations of one folder.

    source     the folder
    pictures   every picture below it
    images     a folder in which is looked first
    """

    source: Path
    pictures: Sequence[Path]
    images: Path | None = None
    _used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._root = os.path.abspath(self.source) + os.sep
        self._by_name = _by_name(self.pictures)
        elsewhere = self.images is not None and self.images.is_dir()
        self._elsewhere = _by_name(_pictures_below(self.images)) if elsewhere and self.images is not None else {}

    def annotated(
        self, path: Path, recorded: str, named: Path | None, *, embedded: bool, marked: bool = False
    ) -> Annotated:
        """The picture of the annotation `path`.

        recorded   the path that it records, "" if none; named: `recorded_file` of it
        embedded   then only the recorded place is looked at
        marked     seg wrote it, whose predictions lie apart from their pictures
        """
        if embedded:
            if named is not None and self._is_outside(named):
                named = None
            self._used.add(os.path.abspath(named) if named is not None else "")
            return Annotated(path, beside=named)
        findings: list[Finding] = []
        picture = self._in_images(path, recorded) if self.images is not None else None
        if picture is None and named is not None and not self._is_outside(named):
            picture = named
        elif picture is None and named is not None and named.suffix.lower() in IMAGE_SUFFIXES:
            picture = named
            if not marked and not _is_linked_beside(path, named):
                text = f"leads out of the folder, to '{recorded[:200]}'; read as a picture, nothing is written there."
                findings.append(Finding(f"{path}: imagePath", text, code="picture-outside"))
        if picture is None:
            candidates = self._by_names(path, recorded)
            if not candidates:
                return Annotated(path, missing=_missing(recorded))
            if len(candidates) > 1:
                shown = ", ".join(str(c.relative_to(self.source)) for c in candidates[:3])
                return Annotated(
                    path, missing=f"imagePath: '{recorded[:200]}' is not there, and several have its name: {shown}."
                )
            picture = candidates[0]
            wrong = f"'{recorded[:200]}' is not there" if recorded else "is not recorded"
            text = f"{wrong}; used {_from(path.parent, picture)}."
            findings.append(Finding(f"{path}: imagePath", text, "", "picture-by-name"))
        self._used.add(os.path.abspath(picture))
        return Annotated(path, picture, findings=tuple(findings))

    def unlabelled(self, annotations: Iterable[Path]) -> list[Path]:
        """The pictures below the folder that no annotation uses, by its record or by its name."""
        names = {(str(path.parent), path.stem.casefold()) for path in annotations}
        return [
            picture
            for picture in self.pictures
            if os.path.abspath(picture) not in self._used
            and (str(picture.parent), picture.stem.casefold()) not in names
            and (str(picture.parent), picture.name.casefold()) not in names
        ]

    def _is_outside(self, picture: Path) -> bool:
        return not os.path.abspath(picture).startswith(self._root)

    def _in_images(self, path: Path, recorded: str) -> Path | None:
        """In the given folder: at the annotation's own place, at the recorded one, or anywhere by name."""
        assert self.images is not None
        name = PureWindowsPath(recorded).name
        below = path.parent.relative_to(self.source)
        stem = path.name[: -len(".json")]
        wanted = [self.images / below / name, self.images / name] if name else []
        wanted += [self.images / below / f"{stem}{suffix}" for suffix in IMAGE_SUFFIXES]
        for candidate in wanted:
            if _is_picture(candidate):
                return candidate
        found = _matches(self._elsewhere, name, stem)
        return found[0] if len(found) == 1 else None

    def _by_names(self, path: Path, recorded: str) -> list[Path]:
        """Pictures of the recorded name, else of the annotation's own: beside it, else anywhere below the folder."""
        found = _matches(self._by_name, PureWindowsPath(recorded).name, path.name[: -len(".json")])
        beside = [picture for picture in found if picture.parent == path.parent]
        return sorted(beside, key=lambda picture: IMAGE_SUFFIXES.index(picture.suffix.lower()))[:1] or found


def recorded_file(folder: Path, recorded: str) -> Path | None:
    """The file at the recorded path as it stands, or with its backslashes turned: both are slashes on Windows."""
    forward = PureWindowsPath(recorded).as_posix() if "\\" in recorded else recorded
    for name in dict.fromkeys((recorded, forward)):
        if name and _is_picture(os.path.join(folder, name)):
            return _tidy(folder / name)
    return None


def _tidy(path: Path) -> Path:
    """Without `a/../` where that is the same file, which it is not behind a link to a folder."""
    if ".." not in path.parts:
        return path
    short = Path(os.path.normpath(path))
    return short if os.path.exists(short) and os.path.samefile(short, path) else path


def _is_linked_beside(path: Path, picture: Path) -> bool:
    """Whether the picture lies beside the annotation, too, as a copy or as the link that `seg annotate` makes."""
    beside = (path.with_name(picture.name), path.with_name(f"{path.stem}{picture.suffix}"))
    return any(os.path.isfile(file) and os.path.getsize(file) == os.path.getsize(picture) for file in beside)


def _is_picture(path: str | Path) -> bool:
    """Whether there is such a file; labelme's own tutorial names an annotation as its image."""
    try:
        return not str(path).lower().endswith(".json") and os.path.isfile(path)
    except ValueError:  # a NUL in it
        return False


def _pictures_below(folder: Path) -> list[Path]:
    return [path for path in files_below(folder) if path.suffix.lower() in IMAGE_SUFFIXES]


def _by_name(pictures: Iterable[Path]) -> dict[str, list[Path]]:
    """Pictures by name and by stem, as people compare names: without case, composed characters."""
    index: dict[str, list[Path]] = {}
    for picture in pictures:
        index.setdefault(_folded(picture.name), []).append(picture)
        index.setdefault(_folded(picture.stem) + "\0", []).append(picture)
    return index


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _matches(index: dict[str, list[Path]], name: str, stem: str) -> list[Path]:
    """By the recorded name, by the annotation's name with any suffix, by it as a whole (`x.png.json`)."""
    keys = [_folded(name)] if name else []
    keys += [_folded(stem) + "\0", _folded(stem)]
    return next((index[key] for key in keys if key in index), [])


def _from(folder: Path, picture: Path) -> str:
    return f"{picture.name} beside it" if picture.parent == folder else str(picture)


def _missing(recorded: str) -> str:
    if not recorded:
        return "imagePath: names no image and none is embedded. Put one of the same name beside it."
    way_out = "Put it beside the annotation, or name its folder: --images DIR."
    return f"imagePath: there is no image '{recorded[:200]}'. {way_out}"
