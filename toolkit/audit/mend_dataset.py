"""A copy of a dataset with masks of ids, upright pictures and lists that name what is there, each once."""

from collections import Counter
from pathlib import Path

import numpy as np

from toolkit.audit.alike import Look, by_side, same_pictures
from toolkit.audit.dataset import DatasetAudit
from toolkit.audit.encoding import Encoding, lookup
from toolkit.audit.lists import SIDES
from toolkit.audit.maskfile import MaskFacts, packed_colors, read_values
from toolkit.audit.picturefile import PairFacts, PictureFacts
from toolkit.errors import DataError
from toolkit.files import write_bytes, write_text
from toolkit.labels.annotation import Mask
from toolkit.labels.classmap import IGNORE, ClassMap, voc_palette
from toolkit.progress import Progress
from toolkit.voc.folder import VocFolder
from toolkit.voc.pixels import decode_rgb, encode_jpeg, encode_png, write_mask
from toolkit.voc.stems import stem_in


def mend_dataset(audit: DatasetAudit, out: Path, progress: Progress) -> tuple[str, ...]:
    """Write the mended copy to `out`; returns what was done, a line each. Raises DataError if nothing is usable."""
    target, done, written = VocFolder(out), Counter[str](), set[str]()
    for stem, pair in progress.track(audit.pairs.items(), "Writing the mended copy", len(audit.pairs)):
        reason = _unusable(pair, audit.encoding)
        if reason:
            done[f"left out: {reason}"] += 1
            continue
        assert pair.picture is not None
        assert pair.mask is not None
        _write_picture(pair.picture, pair.mask, stem, target, done)
        _write_ids(pair.mask, stem, audit.encoding, target, done)
        written.add(stem)
    if not written:
        raise DataError(f"{audit.report.path}: no picture with a usable mask, so there is nothing to mend.")
    names = audit.contents.names or audit.encoding.names
    if names:
        ClassMap(tuple(names)).write(target.names_file)
    lists = _lists(audit, written, done)
    for side, stems in lists.items():
        write_text(target.list_file(side), "".join(f"{stem}\n" for stem in stems))
    done["copied to the new dataset"] = len(written)
    return tuple(f"{count} {what}" for what, count in done.items())


def _unusable(pair: PairFacts, encoding: Encoding) -> str:
    if pair.picture is None or pair.mask is None:
        return "pictures or masks that stand alone"
    if pair.picture.problem or pair.mask.problem:
        return "files that cannot be read"
    if pair.stem in encoding.broken:
        return "masks whose ids are lost"
    if pair.mask.size not in (pair.picture.upright, pair.picture.stored):
        return "masks of another size than their picture"
    return ""


def _write_picture(picture: PictureFacts, mask: MaskFacts, stem: str, target: VocFolder, done: Counter[str]) -> None:
    """As it came, or without an orientation tag, in the frame of the mask."""
    if picture.orientation == 1:
        write_bytes(target.images / f"{stem}{picture.path.suffix.lower()}", picture.path.read_bytes())
        return
    rgb = decode_rgb(picture.path, str(picture.path), upright=mask.size == picture.upright)
    suffix = ".png" if picture.path.suffix.lower() == ".png" else ".jpg"
    write_bytes(target.images / f"{stem}{suffix}", encode_png(rgb) if suffix == ".png" else encode_jpeg(rgb))
    done["pictures stored without an EXIF orientation"] += 1


def _write_ids(mask: MaskFacts, stem: str, encoding: Encoding, target: VocFolder, done: Counter[str]) -> None:
    ids, changed = _ids(mask, encoding)
    if changed:
        done["masks written as class ids"] += 1
    elif mask.format != "PNG" or mask.mode != "P":
        done["masks written as palette PNG, ids unchanged"] += 1
    write_mask(target.mask(stem), ids)


def _ids(mask: MaskFacts, encoding: Encoding) -> tuple[Mask, bool]:
    """uint8 (H, W), and whether the values had another meaning before."""
    if mask.colors:
        colors = packed_colors(mask.path)
        ids = np.full(colors.shape, IGNORE, np.uint8)
        for color in mask.colors:
            ids[colors == color] = encoding.colors[color]
        return ids, True
    values = read_values(mask)
    table = dict(encoding.values)
    if encoding.by_palette and mask.palette:
        by_color = {int(r) << 16 | int(g) << 8 | int(b): index for index, (r, g, b) in enumerate(voc_palette())}
        table = {value: by_color[color] for value, color in mask.palette.items()}
    ids = lookup(table)[values]
    return ids, bool(np.any(ids != values))


def _lists(audit: DatasetAudit, written: set[str], done: Counter[str]) -> dict[str, tuple[str, ...]]:
    """Each stem once, on one side only, and equal pictures on the side of the first: what train has stays there.

    Unless that leaves a side empty, as where train names all images; then what val and test have stays there.
    """
    copies = _copies(audit)
    meant = {
        side: tuple(dict.fromkeys(s for entry in audit.lists[side] if (s := stem_in(entry, written)) is not None))
        for side in SIDES
        if side in audit.lists
    }
    ways = (_apart(meant, copies, SIDES), _apart(meant, copies, SIDES[::-1]), meant)
    sides = next(way for way in ways if all(way[side] for side, stems in meant.items() if stems))
    for side, stems in sides.items():
        done[f"lines taken out of {side}.txt"] += len(audit.lists[side]) - len(stems)
    if sides:
        sides["trainval"] = tuple(sorted({*sides.get("train", ()), *sides.get("val", ())}))
    for what in [what for what, count in done.items() if not count]:
        del done[what]
    return sides


def _apart(
    meant: dict[str, tuple[str, ...]], copies: dict[str, str], order: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Every picture on the first side, in this order, that names it or an equal one."""
    taken: set[str] = set()
    sides = {}
    for side in order:
        if side in meant:
            sides[side] = tuple(stem for stem in meant[side] if copies.get(stem, stem) not in taken)
            taken |= {copies.get(stem, stem) for stem in sides[side]}
    return sides


def _copies(audit: DatasetAudit) -> dict[str, str]:
    """For each of several equal pictures one name that stands for all of them."""
    sides = by_side({})
    looks = [
        Look(stem, pair.picture.path, pair.picture.digest, pair.picture.likeness, sides(stem))
        for stem, pair in audit.pairs.items()
        if pair.picture is not None and pair.picture.likeness is not None
    ]
    return {look.name: group[0].name for group in same_pictures(looks) for look in group}
