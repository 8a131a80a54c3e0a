"""Which label becomes which class id, settled for all files before the first one is written."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from toolkit.conversion.options import LabelOptions
from toolkit.conversion.slips import shapes_text, slips
from toolkit.errors import DataError, UsageError, did_you_mean
from toolkit.findings import Finding
from toolkit.labels.annotation import clean_label
from toolkit.labels.classmap import BACKGROUND_LABEL, IGNORE, IGNORE_LABEL, ClassMap
from toolkit.labels.labellist import LabelList, read_label_list
from toolkit.voc.folder import VocFolder

_ON_TOP = float("inf")


@dataclass(frozen=True)
class Labelling:
    """What becomes of each label that the annotations use.

    classes    in id order
    names      the label under which a shape is counted and joined into instances, by the label as annotated; a label
               that is not here is not drawn
    ids        class id 0..255 by that name
    ranks      by that name: higher covers lower, for the order "priority"
    findings   labels that look like a slip, options that name what is not there
    """

    classes: ClassMap
    names: dict[str, str]
    ids: dict[str, int]
    ranks: dict[str, float]
    findings: tuple[Finding, ...] = ()


def settle_labels(
    used: Mapping[str, int],
    first_seen: Mapping[str, Path],
    source: Path,
    *,
    labels: Path | None,
    options: LabelOptions,
    existing: VocFolder | None,
) -> Labelling:
    """Decide the classes, by a list or from the labels in use; those of an existing dataset keep their ids.

    used         how many shapes have each label
    first_seen   an annotation for each label, for messages

    Raises DataError naming every label that a list does not have, with its count and the closest listed one;
    UsageError for options that contradict the list.
    """
    listed = read_label_list(labels) if labels is not None else None
    findings: list[Finding] = []
    names = _renamed(used, listed, options)
    names = _chosen(names, options)
    findings += _unused_options(used, names, listed, options, source)
    counts: Counter[str] = Counter()
    for label, name in names.items():
        counts[name] += used[label]
    known = _known(existing)
    classes, unknown = _classes(counts, listed, labels, known, options)
    if listed is not None and unknown and options.unknown == "error":
        raise _not_listed(labels or source, unknown, names, used, first_seen, listed)
    ids = {name: _id(classes, name, options) for name in counts}
    if listed is None or (known is not None and options.unknown == "add"):
        unasked = counts if listed is None else unknown  # what a list names, somebody meant
        new = [name for name in classes.names[len(known or ()) :] if name in unasked]
        firsts = {name: min((first_seen[old] for old in names if names[old] == name), key=str) for name in new}
        findings += slips(counts, firsts, known, source, existing.names_file if existing is not None else None)
    for name in unknown if options.unknown in ("ignore", "background") else ():
        what = "ignore (255)" if options.unknown == "ignore" else "background"
        text = f"the list does not have '{name}' ({shapes_text(counts[name])}); drawn as {what}."
        findings.append(Finding(str(labels), text, "", "unlisted-label"))
    return Labelling(classes, names, ids, _ranks(classes, counts, listed, options), tuple(findings))


def _renamed(used: Iterable[str], listed: LabelList | None, options: LabelOptions) -> dict[str, str]:
    rename = {clean_label(old): clean_label(new) for old, new in options.rename}
    aliases = listed.aliases if listed is not None else {}
    after_map = {label: rename.get(label, label) for label in used}
    return {label: aliases.get(name, name) for label, name in after_map.items()}


def _chosen(names: dict[str, str], options: LabelOptions) -> dict[str, str]:
    """Without what --only and --drop leave out; both may name a label before or after it was renamed."""
    only, drop = ({clean_label(label) for label in given} for given in (options.only, options.drop))
    return {
        label: name
        for label, name in names.items()
        if not {label, name} & drop and (not only or {label, name} & only or name in (BACKGROUND_LABEL, IGNORE_LABEL))
    }


def _unused_options(
    used: Iterable[str], names: dict[str, str], listed: LabelList | None, options: LabelOptions, source: Path
) -> list[Finding]:
    known = {*used, *names.values(), *(listed.classes.names if listed is not None else ())}
    asked = [("map", old) for old, _ in options.rename]
    asked += [("only", label) for label in options.only] + [("drop", label) for label in options.drop]
    asked += [("priority", label) for label, _ in options.priorities]
    return [
        Finding(
            str(source),
            f"--{option}: no shape has the label '{label}'.",
            did_you_mean(label, known).strip(),
            "unused-option",
        )
        for option, label in asked
        if clean_label(label) not in known
    ]


def _known(existing: VocFolder | None) -> ClassMap | None:
    """The classes of a dataset that is added to; None if it has no list yet."""
    known = existing.class_map() if existing is not None else None
    if existing is not None and known is not None and known.background != 0:
        raise DataError(
            f"{existing.names_file}: class 0 is '{known.names[0]}', not {BACKGROUND_LABEL}; what is "
            "annotated with labelme has background and cannot be added. Use --out for a dataset of its own."
        )
    return known


def _classes(
    counts: Mapping[str, int],
    listed: LabelList | None,
    labels: Path | None,
    known: ClassMap | None,
    options: LabelOptions,
) -> tuple[ClassMap, list[str]]:
    """The classes, those of an existing dataset first, and the labels that the list does not have."""
    derived = ClassMap.derive(counts).names
    if listed is None:
        if known is None:
            return ClassMap(derived), []
        return ClassMap((*known.names, *(name for name in derived if name not in known.names))), []
    unknown = sorted(name for name in counts if listed.classes.id_of(name) is None)
    names = (*listed.classes.names, *unknown) if options.unknown == "add" else listed.classes.names
    if known is not None and options.unknown == "add":
        names = (*known.names, *(name for name in names if name not in known.names))
    if known is not None and names[: len(known)] != known.names:
        raise DataError(
            f"{labels}: does not begin with the dataset's classes ({', '.join(known.names)}). Use --overwrite."
        )
    if known is not None and listed.classes.names != names[: len(listed.classes)]:
        raise DataError(
            f"{labels}: its classes have other ids in the dataset ({', '.join(known.names)}). Use --overwrite."
        )
    return ClassMap(names), unknown


def _id(classes: ClassMap, name: str, options: LabelOptions) -> int:
    found = classes.id_of(name)
    if found is not None:
        return found
    return IGNORE if options.unknown == "ignore" else 0


def _not_listed(
    labels: Path,
    unknown: list[str],
    names: Mapping[str, str],
    used: Mapping[str, int],
    first_seen: Mapping[str, Path],
    listed: LabelList,
) -> DataError:
    lines = []
    for name in unknown:
        as_annotated = [label for label, new in names.items() if new == name]
        count = sum(used[label] for label in as_annotated)
        first = min((first_seen[label] for label in as_annotated), key=str)
        lines.append(f"'{name}' ({shapes_text(count)}, first in {first}).{listed.classes.closest(name)}")
    return DataError(
        f"{labels}: does not list {len(unknown)} of the labels used: "
        + " ".join(lines)
        + " Add them to the list, rename "
        "them with --map OLD=NEW, or choose what becomes of them with --unknown."
    )


def _ranks(
    classes: ClassMap, counts: Iterable[str], listed: LabelList | None, options: LabelOptions
) -> dict[str, float]:
    """By given priorities, those of the command line first; by class id if there are none.

    Without a number of their own, background (a hole) and ignore lie on top: below the others they would be nothing.
    """
    given = dict(listed.priorities) if listed is not None else {}
    given |= {clean_label(label): value for label, value in options.priorities}
    ranks = {}
    for name in counts:
        if name in given or (given and name not in (BACKGROUND_LABEL, IGNORE_LABEL)):
            ranks[name] = given.get(name, 0.0)
        elif name in (BACKGROUND_LABEL, IGNORE_LABEL):
            ranks[name] = _ON_TOP
        else:
            ranks[name] = float(classes.id_of(name) or 0)
    return ranks


def parse_pairs(option: str, given: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """`OLD=NEW` texts as pairs, at the last `=`. Raises UsageError."""
    pairs = []
    for text in given:
        old, sign, new = text.rpartition("=")
        if not sign or not clean_label(old) or not clean_label(new):
            raise UsageError(f"--{option} '{text}': write it as OLD=NEW, in quotes if a label holds blanks.")
        pairs.append((clean_label(old), clean_label(new)))
    return tuple(pairs)


def parse_priorities(given: Iterable[str]) -> tuple[tuple[str, float], ...]:
    """`LABEL=NUMBER` texts as pairs. Raises UsageError."""
    pairs = []
    for label, text in parse_pairs("priority", given):
        try:
            pairs.append((label, float(text)))
        except ValueError:
            raise UsageError(f"--priority '{label}={text}': a number is needed after the sign.") from None
    return tuple(pairs)
