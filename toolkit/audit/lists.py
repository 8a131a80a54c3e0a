"""What is wrong with the lists of a split."""

from collections import Counter

from toolkit.audit.codes import found
from toolkit.audit.contents import Contents
from toolkit.findings import Finding
from toolkit.voc.stems import stem_in

SIDES = ("train", "val", "test")
_USED = (*SIDES, "trainval")


def check_lists(contents: Contents, lists: dict[str, tuple[str, ...]]) -> list[Finding]:
    """Findings about the lists as written."""
    folder = contents.folder
    findings: list[Finding] = []
    if not ("train" in lists or "val" in lists):
        text = "has no train.txt and val.txt."
        return [found("no-lists", folder.lists, text, f"Make them with: seg split {folder.root}")]
    for side in _USED:
        if side in lists:
            findings += _one_list(contents, side, lists[side])
    for side in ("train", "val"):
        if not lists.get(side):
            text = "names no image." if side in lists else "there is no such list."
            way_out = f"Make the lists again: seg split {folder.root}"
            findings.append(found("list-empty", folder.list_file(side), text, way_out))
    findings += _overlaps(contents, lists)
    listed = {stem for side in _USED for stem in lists.get(side, ())}
    for stem in contents.paired:
        if stem not in listed:
            findings.append(found("unlisted", contents.images[stem], "is in no list.", "Make the lists again."))
    return findings


def _one_list(contents: Contents, side: str, entries: tuple[str, ...]) -> list[Finding]:
    findings = []
    path = contents.folder.list_file(side)
    for stem, count in Counter(entries).items():
        if count > 1:
            findings.append(found("list-duplicate", path, f"names '{stem}' {count} times.", "Name it once."))
        has_image, has_mask = stem in contents.images, stem in contents.masks
        if has_image and has_mask:
            continue
        if has_image and side == "test":
            findings.append(found("test-without-mask", path, f"'{stem}' has no mask."))
            continue
        lacking = (
            "neither picture nor mask" if not (has_image or has_mask) else "no mask" if has_image else "no picture"
        )
        meant = stem_in(stem, contents.images)
        way_out = f"Add what is missing, or make the lists again: seg split {contents.folder.root}"
        if meant is not None and meant != stem:
            way_out = f"Lists hold bare names: write '{meant}'."
        findings.append(found("list-missing", path, f"'{stem[:100]}' has {lacking}.", way_out))
    return findings


def _overlaps(contents: Contents, lists: dict[str, tuple[str, ...]]) -> list[Finding]:
    findings = []
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        both = sorted(set(lists.get(first, ())) & set(lists.get(second, ())))
        only_one = len(contents.paired) == 1  # seg split then puts it on both sides, and says so
        for stem in both:
            text = f"'{stem}' is in {first} and in {second}."
            place = contents.folder.list_file(second)
            level = "warning" if only_one else "error"
            findings.append(found("split-overlap", place, text, "Leave it on one side.", level=level))
    return findings
