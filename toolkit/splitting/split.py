"""VOC dataset -> train, val, trainval and test lists, or folds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import DatasetError, UsageError
from toolkit.labels.classmap import ClassMap
from toolkit.progress import SILENT, Progress
from toolkit.splitting.balance import Units, divide
from toolkit.splitting.bonds import Bond, alike, grouped, runs, united
from toolkit.splitting.deal import Ints, evenly, in_order
from toolkit.splitting.lists import refuse_foreign, write_lists
from toolkit.splitting.notes import listed, notes_on_classes, notes_on_folds, notes_on_sizes
from toolkit.splitting.options import Amount, SplitOptions
from toolkit.splitting.result import Split, dataset_fingerprint
from toolkit.splitting.standing import complete_stems, given_for_testing, kept
from toolkit.splitting.units import content, enough, make_units
from toolkit.voc.counts import MaskTable, classes_of, count_masks
from toolkit.voc.folder import VocFolder


def split(
    dataset: Path | str | None = None,
    *,
    ratio: float | None = None,
    val: Amount | None = None,
    test: Amount | None = None,
    seed: int | None = None,
    random: bool = False,
    kfold: int | None = None,
    group_by: Path | str | None = None,
    test_from: Path | str | None = None,
    keep: bool = False,
    allow_leaks: bool = False,
    overwrite: bool = False,
    allow_bad: bool = False,
    workers: int | None = 0,
    progress: Progress = SILENT,
) -> Split:
    """Divide a dataset's images into train, val and test, or into folds, and write the lists.

    Sides get equal shares of the images that show a class and of its pixels, and every class that two images show is
    in train and in val. Near-identical pictures stay on one side. A single image goes to train and to val.

    ratio          share for training; 0.9 if neither it nor `val` is given
    val, test      shares, or numbers of images; none are for testing unless asked for
    seed           another seed, another choice; 0 if not given
    random         a plain shuffle instead, which knows nothing of classes
    kfold          so many folds, each validated on once; train and val are then those of the first fold
    group_by       "folder" (of the annotation), a file with lines of `image,group`, or a regular expression over the
                   stems whose brackets, or whose whole match, name the group: groups stay on one side
    test_from      a list of images that are for testing; images that belong to one of them are left out
    keep           leave the images of the present lists where they are, and add the new ones
    allow_leaks    near-identical pictures may come to lie on different sides
    overwrite      replace lists that were not made by this function
    allow_bad      leave images without a mask, and masks without an image, out instead of refusing
    workers        processes; 0: this one; None: more if they save more than they cost

    The result depends on the names of the images, their masks and pictures and the seed, on nothing else.
    Raises UsageError for options out of range or contradicting each other, DatasetError for stems without image or
    mask (by name), for an empty dataset, for too few images, and for foreign lists without `overwrite` or `keep`.
    """
    asked: dict[str, Any] = {"ratio": ratio, "val": val, "test": test, "seed": seed, "kfold": kfold}
    asked |= {"random": random or None, "allow_leaks": allow_leaks or None}
    asked["group_by"] = None if group_by is None else str(group_by)
    given = {name: value for name, value in asked.items() if value is not None}
    options = SplitOptions(**given)
    if test_from is not None and (test is not None or keep):
        raise UsageError(f"test_from and {'keep' if keep else 'test'} contradict each other. Choose one.")
    if keep and overwrite:
        raise UsageError("keep and overwrite contradict each other. Choose one.")
    folder = VocFolder.find(Path(dataset) if dataset is not None else None)
    sides: dict[str, int] = {}
    apart: tuple[str, ...] = ()
    if keep:
        options, sides, apart = kept(folder, given)
    elif not overwrite:
        refuse_foreign(folder)
    if test_from is not None:
        apart = given_for_testing(folder, Path(test_from))
    stems = complete_stems(folder, allow_bad, progress, spared=set(apart))
    made = _divided(folder, options, stems, sides, apart, workers, progress)
    for note in made.notes:
        progress.warn(note)
    write_lists(folder, made.lists(), made.as_dict())
    return made


def _divided(
    folder: VocFolder,
    options: SplitOptions,
    stems: set[str],
    sides: dict[str, int],
    apart: tuple[str, ...],
    workers: int | None,
    progress: Progress,
) -> Split:
    """Divide `stems`. `sides`: where some of them are already; `apart`: images for testing, which are not divided."""
    gone = (sides.keys() - stems) | (set(apart) - folder.image_stems())
    if gone:
        progress.warn(f"{listed(gone)} no image any more; taken off the lists.")
    sides = {stem: side for stem, side in sides.items() if stem in stems}
    apart = tuple(stem for stem in apart if stem not in gone)
    table = count_masks(folder, sorted(stems), workers=workers, progress=progress)
    classes = classes_of(table, progress)
    every = sorted(stems | set(apart))
    groups = grouped(folder, every, options.group_by, progress) if options.group_by else []
    likes = [] if options.allow_leaks else alike(folder, every, workers, progress)
    left_out = _bound_to(set(apart), united([*groups, *likes])) - sides.keys()
    inside = sorted(stems - set(apart) - left_out)
    if not inside:
        raise DatasetError(
            f"{folder.root}: every image is for testing, or bound to one that is; none is left to train on."
        )
    notes = [f"{listed(left_out)} been left out: bound to a test image."] if left_out else []
    if len(inside) == 1 and not (options.kfold or options.test):
        notes.append("only one image: it is in train and in val, so the scores will say nothing about new images.")
        return _result(options, table, classes, {"train": inside, "val": inside}, apart, notes=notes)
    units = make_units(inside, united([*groups, *likes]), sides, options.seed)
    names = _names(options)
    if likes and not enough(units, len(names)):
        likes = [] if groups else runs(inside, min(options.sizes_of_sides(len(inside))))
        how = "by their groups alone" if groups else "into runs, in the order of their names"
        notes.append(
            f"the {len(inside)} pictures look alike, as frames of one film do. They were divided {how}; "
            "the scores will flatter. Add pictures of other scenes."
        )
        units = make_units(inside, united([*groups, *likes]), sides, options.seed)
    if not enough(units, len(names)):
        raise _too_few(folder, inside, groups, len(names))
    pixels = table.by_class(len(classes))
    held = content(units, {stem: row for row, stem in enumerate(table.stems)}, pixels)
    chosen = _choose(held, np.array([unit.side for unit in units], np.int64), options)
    members = {
        name: [stem for unit, its in zip(units, chosen, strict=True) if its == side for stem in unit.stems]
        for side, name in enumerate(names)
    }
    empty = [name for name, its in members.items() if not its]
    if empty:
        raise DatasetError(
            f"{folder.root}: nothing would be left for {', '.join(empty)}. Ask for less, or group by something else."
        )
    made = _result(options, table, classes, members, apart, bonds=united([*groups, *likes]), left_out=left_out)
    return replace(made, notes=(*notes, *_notes(made, classes, held, keeping=bool(sides))))


def _bound_to(stems: set[str], bonds: Sequence[Bond]) -> set[str]:
    """What is in one bond with one of `stems`, without these."""
    return {stem for bond in bonds if not stems.isdisjoint(bond.stems) for stem in bond.stems} - stems


def _names(options: SplitOptions) -> list[str]:
    """What the sides are called."""
    sides = [f"fold {number}" for number in range(1, options.kfold + 1)] if options.kfold else ["train", "val"]
    return [*sides, *(["test"] if options.test else [])]


def _too_few(folder: VocFolder, stems: Sequence[str], groups: Sequence[Bond], sides: int) -> DatasetError:
    if len(stems) < sides or not groups:
        return DatasetError(f"{folder.root}: {sides} sides need {sides} images, there are {len(stems)}. Ask for fewer.")
    units = len(stems) - sum(len(bond.stems) - 1 for bond in united(groups))
    return DatasetError(
        f"{folder.root}: {sides} sides need {sides} groups, there are {units}. Group by something else, or not at all."
    )


def _choose(held: Units, fixed: Ints, options: SplitOptions) -> Ints:
    """int64 (U,): the side of each unit, as numbered by `_names`."""
    images = int(held.images.sum())
    if options.kfold is None:
        return _dealt(held, options.sizes_of_sides(images), fixed, options)
    sides = np.zeros(len(held), np.int64)
    if options.test:  # first, so that folds are equal
        test = options.test_size(images)
        inner = np.where(fixed < 0, -1, np.where(fixed == options.kfold, 1, 0))
        sides = _dealt(held, (images - test, test), inner, options) * options.kfold
    rest = np.flatnonzero(sides == 0)
    inside = held.take(rest)
    sides[rest] = _dealt(inside, options.fold_sizes(int(inside.images.sum())), fixed[rest], options, ranked=False)
    return sides


def _dealt(held: Units, targets: Sequence[int], fixed: Ints, options: SplitOptions, *, ranked: bool = True) -> Ints:
    if not options.random:
        return divide(held, targets, fixed, ranked=ranked)
    return in_order(held.images, targets, fixed) if ranked else evenly(held.images, targets, fixed)


def _result(
    options: SplitOptions,
    table: MaskTable,
    classes: ClassMap,
    members: Mapping[str, Sequence[str]],
    apart: Sequence[str],
    *,
    bonds: Sequence[Bond] = (),
    left_out: set[str] | None = None,
    notes: Sequence[str] = (),
) -> Split:
    test = tuple(sorted({*members.get("test", ()), *apart}))
    folds = tuple(tuple(sorted(stems)) for name, stems in members.items() if name.startswith("fold"))
    val = folds[0] if folds else tuple(sorted(members["val"]))
    train = sorted(stem for fold in folds[1:] for stem in fold) if folds else sorted(members["train"])
    counted = {name: stems for name, stems in members.items() if name != "test"}
    counted |= {"test": [stem for stem in test if stem in table]} if test else {}
    return Split(
        train=tuple(train),
        val=val,
        test=test,
        options=options,
        classes=classes.names,
        counts={name: table.counts(len(classes), stems) for name, stems in counted.items()},
        folds=folds,
        together=tuple(bonds),
        left_out=tuple(sorted(left_out or ())),
        notes=tuple(notes),
        dataset=dataset_fingerprint(table, classes.names),
    )


def _notes(made: Split, classes: ClassMap, held: Units, *, keeping: bool) -> list[str]:
    in_groups = len(held) < int(held.images.sum())
    if made.folds:
        folds = [counts for name, counts in made.counts.items() if name != "test"]
        return notes_on_folds(classes.names, folds, classes.background)
    notes = []
    if not keeping:
        targets = dict(zip(_names(made.options), made.options.sizes_of_sides(int(held.images.sum())), strict=True))
        sizes = {name: counts.total for name, counts in made.counts.items()}
        notes = notes_on_sizes(sizes, targets, in_groups=in_groups)
    unit = "group" if in_groups else "image"
    return notes + notes_on_classes(classes.names, made.counts, held.carriers.tolist(), classes.background, unit)
