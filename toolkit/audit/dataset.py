"""The audit of a dataset in VOC layout, whoever made it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolkit.audit.alike import Look, alike, by_side
from toolkit.audit.classes import check_classes
from toolkit.audit.codes import found, ordered
from toolkit.audit.contents import Contents, look, read_lists
from toolkit.audit.encoding import Encoding, judge
from toolkit.audit.lists import SIDES, check_lists
from toolkit.audit.maskfile import MaskFacts
from toolkit.audit.picturefile import PairFacts, PairJob, PictureFacts, pair_facts
from toolkit.audit.report import AuditReport
from toolkit.audit.spelling import variants
from toolkit.findings import Finding
from toolkit.labels.classmap import IGNORE
from toolkit.parallel import in_order
from toolkit.progress import Progress
from toolkit.voc.folder import VocFolder
from toolkit.voc.stems import stem_in


@dataclass(frozen=True)
class DatasetAudit:
    """All that was learned about a dataset: what `check` reports and what `fix` works from."""

    contents: Contents
    lists: dict[str, tuple[str, ...]]
    pairs: dict[str, PairFacts]
    encoding: Encoding
    report: AuditReport


def audit_dataset(folder: VocFolder, labels: Path | None, workers: int | None, progress: Progress) -> DatasetAudit:
    """Look at every file of a dataset. Raises DataError if `labels` cannot be read."""
    contents = look(folder, labels)
    lists = read_lists(folder)
    stems = sorted(contents.images.keys() | contents.masks.keys())
    jobs = [PairJob(stem, contents.images.get(stem), contents.masks.get(stem)) for stem in stems]
    read = progress.track(in_order(pair_facts, jobs, workers), "Checking images and masks", len(jobs))
    pairs = {facts.stem: facts for facts in read}
    masks = {stem: facts.mask for stem, facts in pairs.items() if facts.mask is not None}
    encoding, about_masks = judge(contents, masks)
    known = {side: _meant(lists.entries.get(side, ()), contents) for side in SIDES}
    findings = [
        *contents.findings,
        *lists.findings,
        *_missing(contents, any(lists.entries.values())),
        *(finding for facts in pairs.values() for finding in _about_pair(facts)),
        *about_masks,
        *_about_classes(contents, masks, encoding, known),
        *check_lists(contents, lists.entries),
        *alike(_looks(pairs, known)),
    ]
    counts = {
        "images": len(contents.images),
        "masks": len(contents.masks),
        "classes": len(contents.names) if contents.names is not None else _ids_used(masks, encoding),
    } | {side: len(entries) for side, entries in known.items() if entries}
    report = AuditReport(folder.root, "dataset", counts, ordered(findings))
    return DatasetAudit(contents, lists.entries, pairs, encoding, report)


def _meant(entries: tuple[str, ...], contents: Contents) -> tuple[str, ...]:
    """The stems that the lines of a list mean, those that are there."""
    meant = (stem_in(entry, contents.images) for entry in entries)
    return tuple(stem for stem in meant if stem is not None)


def _missing(contents: Contents, has_lists: bool) -> list[Finding]:
    """Pictures without masks and the other way round: fatal for split, worth a note if lists choose what is used."""
    folder, level = contents.folder, "note" if has_lists else ""
    findings = []
    if not contents.paired:
        text = f"{len(contents.images)} pictures, {len(contents.masks)} masks, but no two of the same name."
        way_out = "Name each mask like its picture." if contents.images and contents.masks else "Add what is missing."
        findings.append(found("no-pairs", folder.root, text, way_out))
    for stem in sorted(contents.images.keys() - contents.masks.keys()):
        way_out = f"Add {folder.masks.name}/{stem}.png, or leave it out: seg split --allow-bad"
        findings.append(found("image-without-mask", contents.images[stem], "has no mask.", way_out, level=level))
    for stem in sorted(contents.masks.keys() - contents.images.keys()):
        way_out = f"Add {folder.images.name}/{stem}.jpg, or leave it out: seg split --allow-bad"
        findings.append(found("mask-without-image", contents.masks[stem], "has no picture.", way_out, level=level))
    return findings


def _about_pair(facts: PairFacts) -> list[Finding]:
    picture, mask = facts.picture, facts.mask
    if picture is None:
        return []
    if picture.problem:
        return [found("image-unreadable", picture.path, picture.problem)]
    if mask is None or mask.problem:
        return []
    turned = picture.orientation != 1
    if mask.size != picture.upright:
        if turned and mask.size == picture.stored:
            text = f"has EXIF orientation {picture.orientation}; its mask is not turned."
            way_out = "Store the picture without the orientation, as the mask sees it; --fix does it."
            return [found("exif-mask", picture.path, text, way_out)]
        sizes = [f"{width} x {height}" for height, width in (picture.upright, mask.size)]
        text = f"has {sizes[0]} pixels, its mask {sizes[1]}."
        return [found("size-mismatch", picture.path, text, "Make the mask again from the picture that is here.")]
    findings = []
    if turned:
        findings.append(found("exif-tag", picture.path, *_turn_remark(picture)))
    if set(mask.values) == {IGNORE}:
        findings.append(found("mask-ignored", mask.path, "holds 255 (ignore) only.", "Annotate it or leave it out."))
    return findings


def _turn_remark(picture: PictureFacts) -> tuple[str, str]:
    fits = "fits both ways, so look which one is right" if picture.stored == picture.upright else "fits it turned"
    text = f"has EXIF orientation {picture.orientation}; its mask {fits}."
    return text, "Store the picture turned; --fix does it."


def _about_classes(
    contents: Contents, masks: Mapping[str, MaskFacts], encoding: Encoding, lists: dict[str, tuple[str, ...]]
) -> list[Finding]:
    """Nothing if values are not ids: what is there then says little about the classes."""
    sound = {
        stem: mask
        for stem, mask in masks.items()
        if mask.values and stem in contents.images and stem not in encoding.broken and not mask.is_jpeg
    }
    complete = len(sound) == sum(stem in contents.images for stem in masks)
    findings = variants(dict.fromkeys(contents.names or (), (0, "")), contents.folder.names_file)
    if sound and complete and not encoding.in_doubt:
        findings += check_classes(contents, sound, by_side(lists))
    return findings


def _ids_used(masks: Mapping[str, MaskFacts], encoding: Encoding) -> int:
    if encoding.names:
        return len(encoding.names)
    used = {value for stem, mask in masks.items() if stem not in encoding.broken for value in mask.values} - {IGNORE}
    return max(used, default=-1) + 1


def _looks(pairs: Mapping[str, PairFacts], lists: dict[str, tuple[str, ...]]) -> list[Look]:
    sides = by_side(lists)
    return [
        Look(stem, facts.picture.path, facts.picture.digest, facts.picture.likeness, sides(stem))
        for stem, facts in pairs.items()
        if facts.picture is not None and facts.picture.likeness is not None
    ]
