"""How many pixels of each class the masks of a dataset hold, image by image."""

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from toolkit.errors import DatasetError, SegError
from toolkit.labels.classmap import IGNORE, ClassMap
from toolkit.parallel import in_order, shown
from toolkit.progress import SILENT, Progress
from toolkit.voc.folder import VocFolder
from toolkit.voc.maskfile import MaskPixels, mask_pixels
from toolkit.voc.saved_counts import SETTLED, CountedMask, Fingerprint, fingerprint, fitting_counts, save_counts

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PixelCounts:
    """How much there is of each class in some images.

    pixels     int64 (K,) pixels by class id, ignore not counted
    images     int64 (K,) in how many images a class occurs
    among      int64 (K,) pixels, ignore not counted, of the images in which a class occurs
    ignored    pixels with the value 255
    total      how many images were counted
    """

    pixels: Counts
    images: Counts
    among: Counts
    ignored: int
    total: int

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """float64 (K,) that sum to 1, or all 0 if nothing was counted."""
        total = self.pixels.sum()
        return self.pixels / total if total else np.zeros(len(self.pixels))


class MaskTable:
    """The pixels by value of many masks, as compressed rows: some ten bytes for each class of an image.

    stems    of the rows
    starts   int64 (n + 1,): the entries of row i are those from starts[i] to starts[i + 1]
    values   uint8: class ids and 255, ascending within a row
    pixels   int64: how many pixels have that value
    """

    def __init__(self, folder: VocFolder, rows: Iterable[tuple[str, MaskPixels]]) -> None:
        self.folder = folder
        stems, starts, values, pixels = [], array("q", [0]), array("B"), array("q")
        for stem, row in rows:
            stems.append(stem)
            values.extend(value for value, _ in row)
            pixels.extend(amount for _, amount in row)
            starts.append(len(values))
        self.stems: tuple[str, ...] = tuple(stems)
        self.starts = np.array(starts, np.int64)
        self.values = np.array(values, np.uint8)
        self.pixels = np.array(pixels, np.int64)

    def __len__(self) -> int:
        return len(self.stems)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {stem: row for row, stem in enumerate(self.stems)}

    @cached_property
    def _rows(self) -> Counts:
        """int64: the row of each entry."""
        return np.repeat(np.arange(len(self.stems)), np.diff(self.starts))

    def counts(self, K: int, stems: Iterable[str] | None = None) -> PixelCounts:
        """The counts over the masks of `stems`, or over all, with ids 0..K-1; a stem that is named twice counts once.

        Raises DatasetError for a pixel value that is no class id, naming the mask, the value and the way out.
        """
        chosen = np.ones(len(self.stems), bool)
        if stems is not None:
            chosen[:] = False
            chosen[[self._row_of[stem] for stem in stems]] = True
        taken = chosen[self._rows]
        rows, values, pixels = self._rows[taken], self.values[taken], self.pixels[taken]
        self._refuse_foreign(rows, values, K)
        labelled = values != IGNORE
        ids, rows, labelled_pixels = values[labelled], rows[labelled], pixels[labelled]
        sizes = np.zeros(len(self.stems), np.int64)
        np.add.at(sizes, rows, labelled_pixels)
        return PixelCounts(
            pixels=_summed(ids, labelled_pixels, K),
            images=_summed(ids, np.ones(len(ids), np.int64), K),
            among=_summed(ids, sizes[rows], K),
            ignored=int(pixels[~labelled].sum()),
            total=int(chosen.sum()),
        )

    def by_class(self, K: int) -> Counts:
        """int64 (n, K): pixels of each mask by class id. Raises DatasetError for a value that is no class id."""
        self._refuse_foreign(self._rows, self.values, K)
        table = np.zeros((len(self.stems), K), np.int64)
        labelled = self.values != IGNORE
        table[self._rows[labelled], self.values[labelled]] = self.pixels[labelled]
        return table

    def largest_id(self) -> int:
        """The largest class id in use; 0 if there is none."""
        return int(self.values[self.values != IGNORE].max(initial=0))

    def __contains__(self, stem: object) -> bool:
        return stem in self._row_of

    def row(self, stem: str) -> MaskPixels:
        """The pixels of one mask by value."""
        row = self._row_of[stem]
        entries = slice(self.starts[row], self.starts[row + 1])
        return tuple(zip(self.values[entries].tolist(), self.pixels[entries].tolist(), strict=True))

    def _refuse_foreign(self, rows: Counts, values: npt.NDArray[np.uint8], K: int) -> None:
        foreign = np.flatnonzero((values >= K) & (values != IGNORE))
        if foreign.size:
            stem = self.stems[int(rows[foreign[0]])]
            refuse_foreign(self.folder, stem, self.row(stem), K)


def refuse_foreign(folder: VocFolder, stem: str, row: MaskPixels, K: int) -> None:
    """Raise DatasetError if a mask holds a value that is no class id, naming the mask, the value and the way out."""
    foreign = [(value, pixels) for value, pixels in row if K <= value != IGNORE]
    if not foreign:
        return
    value, pixels = foreign[0]
    place = f"{folder.mask(stem)}: holds the value {value} ({pixels} pixels)"
    rule = f"but {folder.names_file.name} lists {K} classes (ids 0 to {K - 1}; 255 is ignore)"
    if len(row) > 2 * K + 8:
        raise DatasetError(
            f"{place}, {rule}. It looks like a picture of colours or a JPEG, not like ids. Make the masks again with seg convert."
        )
    raise DatasetError(f"{place}, {rule}. Add the missing class to the list or correct the mask.")


def count_masks(
    folder: VocFolder,
    stems: Sequence[str],
    *,
    workers: int | None = 0,
    progress: Progress = SILENT,
    unread: Callable[[SegError], None] | None = None,
) -> MaskTable:
    """Count the pixels of each value in the masks of `stems`.

    Masks that were counted before, by `seg convert` or here, are not read again as long as their size and time are
    the same; what is counted now is kept for the next time.

    workers   processes; 0: this one; None: more if they save more than they cost
    unread    is told of masks that cannot be read, which then count as empty
    Raises ImageError or DatasetError naming the first mask that cannot be read, unless `unread` is given.
    """
    known = MaskTable(folder, fitting_counts(folder, stems))
    missing = [stem for stem in stems if stem not in known]
    if known.stems == tuple(stems):
        return known
    counted = _counted(folder, missing, workers, progress, unread) if missing else known
    return MaskTable(folder, ((stem, (known if stem in known else counted).row(stem)) for stem in stems))


def _counted(
    folder: VocFolder,
    stems: Sequence[str],
    workers: int | None,
    progress: Progress,
    unread: Callable[[SegError], None] | None,
) -> MaskTable:
    """Count masks, and keep what was counted."""
    began = time.time_ns()
    prints: dict[str, Fingerprint] = {}

    def rows() -> Iterator[tuple[str, MaskPixels]]:
        read = in_order(partial(_count, folder), stems, workers)
        for stem, (found, pixels) in zip(stems, read, strict=True):
            if isinstance(pixels, SegError):
                if unread is None:
                    raise pixels
                unread(pixels)
                yield stem, ()
                continue
            if found is not None and found[1] < began - SETTLED:  # a newer one may change without a new time
                prints[stem] = found
            yield stem, pixels

    table = MaskTable(folder, shown(progress, rows(), "Counting pixels", len(stems)))
    if prints:
        save_counts(folder, (CountedMask(stem, *prints[stem], dict(table.row(stem))) for stem in sorted(prints)))
    return table


def _count(folder: VocFolder, stem: str) -> tuple[Fingerprint | None, MaskPixels | SegError]:
    try:
        path = folder.mask(stem)
        found = fingerprint(path)  # first: a mask that is replaced while it is read does not get the new one's
        return found, mask_pixels(path)
    except SegError as error:
        return None, error


def classes_of(table: MaskTable, progress: Progress = SILENT) -> ClassMap:
    """The dataset's classes; without `class_names.txt` they are named by their ids, up to the largest one used."""
    listed = table.folder.class_map()
    if listed is not None:
        return listed
    largest = table.largest_id()
    progress.warn(f"{table.folder.names_file} is missing: the classes are called by their ids, 0 to {largest}.")
    return ClassMap(tuple(f"class {index}" for index in range(largest + 1)))


def _summed(ids: npt.NDArray[np.uint8], amounts: Counts, K: int) -> Counts:
    sums = np.zeros(K, np.int64)
    np.add.at(sums, ids, amounts)
    return sums
