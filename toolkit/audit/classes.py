"""Classes that are absent, on one side of the split only, or rare."""

from collections.abc import Callable, Mapping

from toolkit.audit.codes import found
from toolkit.audit.contents import Contents
from toolkit.audit.maskfile import MaskFacts
from toolkit.findings import Finding
from toolkit.labels.classmap import BACKGROUND_LABEL, IGNORE

_TINY_SHARE = 1e-4
_FEWEST_IMAGES = 2
_ENOUGH_IMAGES = 5  # in fewer, to occur once says nothing


def check_classes(
    contents: Contents, masks: Mapping[str, MaskFacts], sides: Callable[[str], frozenset[str]]
) -> list[Finding]:
    """Findings about the classes over masks by stem whose values are ids; other values are not looked at."""
    used = sorted({value for mask in masks.values() for value in mask.values} - {IGNORE})
    if (contents.names is None and used == [0]) or not used:
        return _one_value(contents, masks) if len(masks) > 1 else []
    if len(used) == 1:
        return _one_value(contents, masks) if len(masks) > 1 else []
    names = contents.names or tuple(f"class {index}" for index in range(used[-1] + 1))
    total = sum(count for mask in masks.values() for value, count in mask.values.items() if value != IGNORE)
    findings = []
    for class_id, name in enumerate(names):
        holders = [stem for stem, mask in masks.items() if class_id in mask.values]
        place = f"{contents.folder.names_file}: '{name}' (id {class_id})"
        if holders:
            pixels = sum(masks[stem].values[class_id] for stem in holders)
            findings += _rare(place, name, pixels / total, len(holders), len(masks))
            findings += _one_sided(place, {side for stem in holders for side in sides(stem)}, masks, sides)
        elif contents.names is not None and name != BACKGROUND_LABEL:
            way_out = "Take it out of the list before training, or annotate some."
            findings.append(found("class-absent", place, f"occurs in none of {len(masks)} masks.", way_out))
    return findings


def _one_value(contents: Contents, masks: Mapping[str, MaskFacts]) -> list[Finding]:
    values = sorted({value for mask in masks.values() for value in mask.values})
    text = f"all {len(masks)} masks hold {' and '.join(map(str, values))} only."
    way_out = "Make the masks again; if they look right in a viewer, they were saved as colours and lost their ids."
    return [found("masks-empty", contents.folder.masks, text, way_out)]


def _rare(place: str, name: str, share: float, images: int, of: int) -> list[Finding]:
    few = images < _FEWEST_IMAGES and of >= _ENOUGH_IMAGES
    if name == BACKGROUND_LABEL or not (few or share < _TINY_SHARE):
        return []
    text = f"covers {share:.4%} of the pixels, in {images} of {of} images."
    return [found("class-tiny", place, text, "Annotate more, and train with --class-weights auto.")]


def _one_sided(
    place: str, where: set[str], masks: Mapping[str, MaskFacts], sides: Callable[[str], frozenset[str]]
) -> list[Finding]:
    """Only for sides that have masks at all."""
    present = {side for stem in masks for side in sides(stem)}
    if not {"train", "val"} <= present or not where & {"train", "val"}:
        return []
    way_out = "Split again with another --seed, or annotate more."
    if "train" not in where:
        text = "occurs in val but not in train: it cannot be learned, and lowers the score."
        return [found("class-one-sided", place, text, way_out)]
    if "val" not in where:
        text = "occurs in train but not in val: how well it is learned is not measured."
        return [found("class-one-sided", place, text, way_out)]
    return []
