"""A copy of a labelme folder without what labelme and convert stumble over; every other key stays as it is."""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.audit.annotations import LabelmeAudit
from toolkit.audit.shapes import outline_key
from toolkit.conversion.locate import Annotated
from toolkit.conversion.pictures import read_picture
from toolkit.errors import AnnotationError, DataError
from toolkit.files import write_bytes, write_text
from toolkit.labels.annotation import Annotation, clean_label
from toolkit.labels.labelme import read_annotation_bytes, read_labelme
from toolkit.progress import Progress


def mend_labelme(audit: LabelmeAudit, out: Path, progress: Progress) -> tuple[str, ...]:
    """Write the mended copy to `out`; returns what was done, a line each."""
    done: Counter[str] = Counter()
    pictures = _Pictures(audit.source, out)
    items = audit.scan.annotated
    for item in progress.track(items, "Writing the mended copy", len(items)):
        try:
            annotation = read_labelme(item.path)
            if annotation is None or (item.picture is None and not isinstance(annotation.image, bytes)):
                done["annotations left out: no picture"] += 1
                continue
            _write(item, annotation, out / item.path.relative_to(audit.source), pictures, done)
        except DataError:
            done["annotations left out: cannot be read"] += 1
    if audit.scan.failures:
        done["annotations left out: cannot be read"] += len(audit.scan.failures)
    if not done["copied to the new folder"]:
        raise DataError(f"{audit.source}: no annotation with a picture, so there is nothing to mend.")
    return tuple(f"{count} {what}" for what, count in done.items())


@dataclass
class _Pictures:
    """Where the copies of pictures go: as they lay below `source`, those from elsewhere beside their annotation."""

    source: Path
    out: Path
    _taken: dict[str, Path] = field(default_factory=dict)

    def place(self, picture: Path, annotation: Path) -> Path:
        """A place that no other picture has; names are compared without case, as Windows and macOS do."""
        origin = _plain(picture)
        inside = origin.is_relative_to(_plain(self.source))
        target = self.out / origin.relative_to(_plain(self.source)) if inside else annotation.parent / origin.name
        number = 1
        while self._taken.setdefault(str(target).casefold(), origin) != origin:
            number += 1
            target = target.with_name(f"{origin.stem}__{number}{origin.suffix}")
        return target


def _plain(path: Path) -> Path:
    """Absolute, without `..`; links stay as they are."""
    return Path(os.path.normpath(path.absolute()))


def _write(item: Annotated, annotation: Annotation, target: Path, pictures: _Pictures, done: Counter[str]) -> None:
    content = _content(item.path)
    content["shapes"] = _shapes(content["shapes"], annotation, done)
    if repeated := sum(finding.code == "repeated-key" for finding in annotation.findings):
        done["keys that were there several times, the last one kept"] += repeated
    if item.picture is not None:
        picture = pictures.place(item.picture, target)
        write_bytes(picture, read_picture(item.picture))
        recorded = Path(os.path.relpath(picture, target.parent)).as_posix()
        if content.get("imagePath") != recorded:
            content["imagePath"] = recorded
            done["image paths corrected"] += 1
    write_text(target, json.dumps(content, indent=2, ensure_ascii=False) + os.linesep[-1])
    done["copied to the new folder"] += 1


def _content(path: Path) -> dict[str, Any]:
    """All keys. Raises AnnotationError also for what `read_labelme` passes over: huge numbers, bytes that are no text."""
    data = read_annotation_bytes(path)
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        content: dict[str, Any] = json.loads(data.decode(encoding))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: cannot be copied ({error}).") from None
    return content


def _shapes(items: list[Any], annotation: Annotation, done: Counter[str]) -> list[Any]:
    """Those that can be drawn, with clean labels, each once."""
    kept = []
    seen = set()
    for shape in annotation.shapes:
        key = (shape.label, shape.group_id, outline_key(shape))
        if key in seen:
            done["shapes taken out that were drawn twice"] += 1
            continue
        seen.add(key)
        item = dict(items[shape.number])
        if item["label"] != shape.label:
            item["label"] = clean_label(str(item["label"]))
            done["labels cleaned"] += 1
        kept.append(item)
    dropped = len(items) - len(annotation.shapes)
    if dropped:
        done["shapes taken out that cannot be drawn"] += dropped
    return kept
