"""The kinds of things that an audit can find: one table, which docs/check.md shows and a test compares."""

from dataclasses import dataclass, replace

from toolkit.findings import Finding


@dataclass(frozen=True)
class Kind:
    """level: how bad it is as a rule; title: a heading over all of its kind; why: what happens if it stays."""

    level: str
    title: str
    why: str = ""


_NOT_COUNTED = "What convert does not understand is left out and becomes background."

CODES = {
    # the dataset's files
    "unfinished": Kind("error", "conversion was interrupted", "split and train refuse the dataset."),
    "no-pairs": Kind("error", "no image with a mask", "There is nothing to train on."),
    "image-unreadable": Kind("error", "pictures that cannot be decoded", "Training would stop there."),
    "image-without-mask": Kind("error", "pictures without a mask", "split refuses the dataset."),
    "mask-without-image": Kind("error", "masks without a picture", "split refuses the dataset."),
    "two-images": Kind("warning", "several pictures of one name", "Only the first one is used."),
    "size-mismatch": Kind("error", "picture and mask of different sizes", "Their pixels do not belong together."),
    "exif-mask": Kind(
        "error",
        "masks that fit the picture as stored, not as shown",
        "Programs that obey the EXIF orientation turn the picture away from its mask.",
    ),
    "exif-tag": Kind(
        "warning",
        "pictures with an EXIF orientation",
        "seg and image viewers turn them; torchvision and most training code do not.",
    ),
    # what the masks hold
    "mask-unreadable": Kind("error", "masks that cannot be read", "Training would stop there."),
    "mask-suffix": Kind("error", "masks that are not named STEM.png", "Loaders look for STEM.png only."),
    "mask-jpeg": Kind(
        "error",
        "masks stored as JPEG",
        "JPEG changes values, so ids are wrong near every border: mIoU near 0, speckled predictions.",
    ),
    "mask-colors": Kind(
        "error", "masks of colours", "A mask holds class ids; colours read as ids give mIoU 0 or an error."
    ),
    "mask-channels": Kind("error", "grey masks with several channels", "A mask has one channel; loaders refuse these."),
    "mask-binary": Kind(
        "error",
        "masks of 0 and 255",
        "255 means ignore: the object would be counted nowhere and every prediction would be black.",
    ),
    "mask-scaled": Kind(
        "error",
        "ids multiplied to be visible",
        "Training would take the largest value for the number of classes, or refuse it.",
    ),
    "mask-smoothed": Kind(
        "error",
        "masks with smoothed edges",
        "Values between two ids are other classes, or none: wrong borders, mIoU near 0.",
    ),
    "foreign-id": Kind("error", "ids that are no class", "Training would stop there."),
    "palette-differs": Kind(
        "warning", "palettes that disagree", "If the index follows the colours, one id means several things."
    ),
    "mask-ignored": Kind("warning", "masks of nothing but ignore", "Nothing is learned from these."),
    "masks-empty": Kind("error", "all masks hold one value", "There is nothing to tell apart."),
    # classes
    "names-unreadable": Kind("error", "the class list cannot be used", "Training would stop there."),
    "names-missing": Kind("note", "no class list", "Classes are then called by their ids."),
    "class-absent": Kind("warning", "classes that occur nowhere", "They cannot be learned and count in no score."),
    "class-one-sided": Kind("warning", "classes on one side of the split only"),
    "class-tiny": Kind("note", "rare classes", "Few pixels or images make a class hard to learn and its score noisy."),
    "label-variants": Kind("warning", "one label spelt in several ways", "Each spelling becomes a class of its own."),
    "label-typo": Kind("warning", "labels that look mistyped", "Each spelling becomes a class of its own."),
    "label-background": Kind(
        "warning", "a label for the background", "It becomes a class of its own beside _background_."
    ),
    "label-unlisted": Kind("error", "labels that are not in the list", "convert refuses them."),
    # lists
    "no-lists": Kind("note", "not divided into train and val yet"),
    "list-unreadable": Kind("error", "lists that cannot be read", "Training would stop there."),
    "list-empty": Kind("error", "lists that name no image", "Training needs images on both sides."),
    "list-missing": Kind("error", "lists that name what is not there", "Training would stop there."),
    "list-duplicate": Kind("error", "lists that name an image twice", "Training refuses such a list."),
    "split-overlap": Kind("error", "images on two sides of the split", "The score is measured on what was learned."),
    "unlisted": Kind("note", "images with masks that no list names", "They are not used."),
    "test-without-mask": Kind("note", "test images without a mask", "They can be predicted but not scored."),
    # images that are alike
    "leak-identical": Kind(
        "error", "the same picture on two sides of the split", "The score is measured on what was learned."
    ),
    "leak": Kind("warning", "nearly the same picture on two sides of the split", "The validation score will flatter."),
    "identical": Kind("warning", "the same picture several times", "It counts several times, and may leak when split."),
    "lookalike": Kind(
        "note",
        "pictures that are nearly the same",
        "seg split keeps such pictures on one side; where they are on both, the validation score flatters.",
    ),
    # a labelme folder
    "annotation-unreadable": Kind("error", "annotations that cannot be converted", "convert leaves the image out."),
    "annotation-odd": Kind("warning", "oddities that convert copes with"),
    "repeated-key": Kind(
        "warning",
        "files that say one thing several times",
        "The last one counts, in labelme too; what the others hold is lost when labelme saves the file.",
    ),
    "unreviewed": Kind(
        "warning", "predictions that nobody has looked at", "Training on them teaches a model its own mistakes."
    ),
    "not-labelme": Kind("note", "JSON files of another kind"),
    "image-without-annotation": Kind("note", "pictures without an annotation", "convert does not use them."),
    "no-shapes": Kind("note", "annotations without a shape", "Their images are all background."),
    "exif": Kind(
        "warning",
        "turned pictures whose frame is not certain",
        "labelme shows pictures turned since 3.7.0 only; shapes may lie in the frame as stored.",
    ),
    "no-label": Kind("warning", "shapes without a label", _NOT_COUNTED),
    "shape-type": Kind("warning", "shapes that are no objects", _NOT_COUNTED),
    "unknown-kind": Kind("warning", "shapes of an unknown kind", _NOT_COUNTED),
    "points-type": Kind("warning", "shapes whose points are no numbers", _NOT_COUNTED),
    "point-count": Kind("warning", "unfinished shapes", _NOT_COUNTED),
    "far-point": Kind("warning", "shapes far outside", _NOT_COUNTED),
    "mask-picture": Kind("warning", "mask shapes without a bitmap", _NOT_COUNTED),
    "mask-size": Kind("warning", "bitmaps that do not fit their box"),
    "size-field": Kind("warning", "recorded sizes that are no sizes"),
    "label-spelling": Kind("note", "labels with stray blanks", "Other programs take them for classes of their own."),
    "hidden-shape": Kind("warning", "shapes hidden by others", "Nothing is left of them in the mask."),
    "similar-labels": Kind("warning", "labels that are nearly the same", "Each spelling becomes a class of its own."),
    "picture-by-name": Kind("note", "pictures found by their names", "The recorded path leads nowhere."),
    "picture-outside": Kind("note", "pictures outside the folder", "They stay behind if the folder is moved."),
    "other-picture": Kind("warning", "embedded pictures that differ from the files", "Only one of them was annotated."),
    "deep-picture": Kind("warning", "pictures of more than 8 bits a channel"),
    "many-frames": Kind("warning", "files with several pictures", "Only the first one is used."),
    "folder-not-read": Kind("warning", "folders that were not read", "What is in them is missing."),
    "shape-outside": Kind("warning", "shapes outside the picture", "What lies outside is not drawn."),
    "shape-tiny": Kind("warning", "shapes of next to no area", "Most are slips of the mouse."),
    "self-crossing": Kind(
        "warning", "polygons that cross themselves", "Parts that are covered twice become holes in the mask."
    ),
    "shape-duplicate": Kind("warning", "shapes drawn twice", "They count twice as instances."),
    "shape-conflict": Kind("warning", "one outline with two labels", "The later one hides the earlier one."),
}
"""Code -> what it is, in the order in which findings are shown."""


def found(code: str, place: object, reason: str, way_out: str = "", *, level: str = "") -> Finding:
    """A finding of a kind in the table; `level` where this one is better or worse than its kind."""
    kind = CODES[code]
    return Finding(str(place), reason, way_out, code, level or kind.level, kind.why)


def adopted(finding: Finding, fallback: str, *, level: str = "") -> Finding:
    """A finding of another room as one of the table: its own code if that is known there, else `fallback`."""
    code = finding.code if finding.code in CODES else fallback
    kind = CODES[code]
    return replace(finding, code=code, why=finding.why or kind.why, level=level or kind.level)


def ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors first, then warnings, then notes; within a level by kind in the order of the table."""
    rank = {code: index for index, code in enumerate(CODES)}
    levels = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(findings, key=lambda finding: (levels[finding.level], rank[finding.code])))
