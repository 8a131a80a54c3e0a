"""What lies in a dataset's folders, whoever made it: pictures, masks, classes, lists. Reads no pixel."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.audit.codes import found
from toolkit.errors import DataError
from toolkit.findings import Finding
from toolkit.labels.classmap import BACKGROUND_LABEL, ClassMap
from toolkit.voc.folder import VocFolder
from toolkit.voc.layout import IMAGE_SUFFIXES

_LARGEST_LIST = 1 << 26  # bytes
_COLOR_LINE = re.compile(r"([^:]+):(\d{1,3}),(\d{1,3}),(\d{1,3})(?::.*)?")


@dataclass(frozen=True)
class Contents:
    """images and masks by stem; names: the class list or None; colors: class id by 0xRRGGBB where that is written."""

    folder: VocFolder
    images: dict[str, Path]
    masks: dict[str, Path]
    names: tuple[str, ...] | None = None
    colors: dict[int, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def paired(self) -> list[str]:
        """Stems with picture and mask, sorted."""
        return sorted(self.images.keys() & self.masks.keys())


def dataset_at(path: Path) -> VocFolder | None:
    """The dataset in or around a folder, also an unfinished one or one that lacks a part; None if there is none.

    Raises DataError if there are several.
    """
    candidates = [VocFolder(p) for p in (path, *sorted(path.glob("VOC2*")), *sorted(path.glob("VOCdevkit/VOC2*")))]
    whole = [folder for folder in candidates if folder.exists()]
    part = [folder for folder in candidates if folder.images.is_dir() or folder.masks.is_dir()]
    among = whole or part
    if len(among) > 1 and among[0].root != path:
        names = ", ".join(folder.root.name for folder in among)
        raise DataError(f"{path}: holds several datasets ({names}). Name one of them.")
    return among[0] if among else None


def look(folder: VocFolder, labels: Path | None) -> Contents:
    """List a dataset. labels: a class list to be used instead of class_names.txt; raises DataError if it is bad."""
    findings: list[Finding] = []
    if folder.unfinished.exists():
        way_out = "Finish it with: seg convert LABELME_DIR --update"
        findings.append(found("unfinished", folder.root, "its conversion is at work or was interrupted.", way_out))
    images = _by_stem(folder.images, findings, first=".jpg")
    masks = _by_stem(folder.masks, findings, first=".png")
    for path in masks.values():
        if path.suffix != ".png":
            way_out = "Save it as PNG, or use --fix, which does."
            findings.append(found("mask-suffix", path, f"ends in {path.suffix}.", way_out))
    if not masks and any(folder.masks.glob("*.npy")):
        way_out = "labelme's old export keeps the masks in SegmentationClassPNG: rename that to SegmentationClass."
        findings.append(found("mask-suffix", folder.masks, "holds .npy files only.", way_out))
    names, colors = _classes(folder, labels, findings)
    return Contents(folder, images, masks, names, colors, tuple(findings))


def _by_stem(folder: Path, findings: list[Finding], *, first: str) -> dict[str, Path]:
    paths: dict[str, list[Path]] = {}
    if folder.is_dir():
        for path in sorted(folder.iterdir(), key=lambda path: (path.suffix != first, path.name)):
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file():
                paths.setdefault(path.stem, []).append(path)
    for stem, several in paths.items():
        if len(several) > 1:
            names = ", ".join(path.name for path in several)
            findings.append(found("two-images", folder, f"'{stem}' has several files: {names}.", "Remove the others."))
    return {stem: several[0] for stem, several in sorted(paths.items())}


def _classes(
    folder: VocFolder, labels: Path | None, findings: list[Finding]
) -> tuple[tuple[str, ...] | None, dict[int, int]]:
    """Names by the given list, class_names.txt or CVAT's labelmap.txt, and the colours of the latter."""
    by_color = _labelmap(folder.root / "labelmap.txt")
    if labels is not None:
        return ClassMap.from_labels(labels).names, {}
    try:
        listed = folder.class_map()
    except DataError as error:
        text = str(error).removeprefix(f"{folder.names_file}: ")
        findings.append(found("names-unreadable", folder.names_file, text, "Write one class a line."))
        return None, {}
    if listed is not None:
        ids = {name: index for index, name in enumerate(listed.names)}
        known = {color: ids[name] for name, color in by_color.items() if name in ids}
        return listed.names, known if len(known) == len(by_color) else {}
    if by_color:
        return tuple(by_color), {color: index for index, color in enumerate(by_color.values())}
    way_out = "Write one class a line into it, class 0 first."
    findings.append(found("names-missing", folder.names_file, "there is no such file.", way_out))
    return None, {}


def _labelmap(path: Path) -> dict[str, int]:
    """0xRRGGBB by name from CVAT's `name:r,g,b:parts:actions` lines, background first; empty if there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    colors: dict[str, int] = {}
    for line in lines:
        match = _COLOR_LINE.fullmatch(line.strip())
        if match and not line.startswith("#"):
            r, g, b = (min(255, int(value)) for value in match.groups()[1:])
            name = BACKGROUND_LABEL if match[1].strip().casefold() == "background" else match[1].strip()
            colors[name] = r << 16 | g << 8 | b
    return dict(sorted(colors.items(), key=lambda item: item[0] != BACKGROUND_LABEL))


@dataclass(frozen=True)
class Lists:
    """The stems of each list, as written; `entries` also holds lists with other names than train, val and test."""

    entries: dict[str, tuple[str, ...]]
    findings: tuple[Finding, ...] = ()


def read_lists(folder: VocFolder) -> Lists:
    """Every list of the dataset, duplicates and all."""
    entries: dict[str, tuple[str, ...]] = {}
    findings = []
    paths = sorted(folder.lists.glob("*.txt")) if folder.lists.is_dir() else []
    for path in paths:
        try:
            if path.stat().st_size > _LARGEST_LIST:
                raise ValueError("too large for a list")
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, ValueError) as error:
            way_out = "Make it again with seg split."
            findings.append(found("list-unreadable", path, f"cannot be read as UTF-8 text ({error}).", way_out))
            continue
        entries[path.stem] = tuple(line.rstrip("\r") for line in lines if line.strip())
    return Lists(entries, tuple(findings))
