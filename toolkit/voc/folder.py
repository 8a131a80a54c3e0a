"""The dataset on disk: the only owner of its folder and file names.

ROOT/JPEGImages/STEM.jpg              the pictures
ROOT/SegmentationClass/STEM.png       masks: value = class id, 255 = ignore
ROOT/SegmentationObject/STEM.png      instances (not read again by seg)
ROOT/ImageSets/Segmentation/*.txt     train, val, trainval, test: one stem a line
ROOT/ImageSets/Segmentation/fold_I/   train and val of one fold of several, I from 1 on
ROOT/class_names.txt                  one class a line, line number = id
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from toolkit.errors import DatasetError
from toolkit.labels.classmap import ClassMap
from toolkit.voc.layout import DEFAULT_ROOT, IMAGE_SUFFIXES


@dataclass(frozen=True)
class VocFolder:
    """A dataset in Pascal VOC layout. Nothing is read or checked until it is asked for."""

    root: Path

    @classmethod
    def find(cls, path: Path | None) -> "VocFolder":
        """The dataset at `path` (its root, a VOCdevkit or the folder around one), or the default one.

        Raises DatasetError with the way out if there is none.
        """
        path = DEFAULT_ROOT if path is None else path
        if path == DEFAULT_ROOT and not cls(path).exists():
            raise DatasetError(f"no dataset at {path}. Make one with: seg convert LABELME_DIR")
        if not path.is_dir():
            raise DatasetError(f"{path}: there is no such folder.")
        candidates = [path, *sorted(path.glob("VOC2*")), *sorted(path.glob("VOCdevkit/VOC2*"))]
        found = [folder for folder in candidates if cls(folder).exists()]
        if not found:
            raise DatasetError(f"{path}: not a dataset: needs the folders JPEGImages and SegmentationClass.")
        if len(found) > 1 and found[0] != path:
            raise DatasetError(
                f"{path}: holds several datasets ({', '.join(p.name for p in found)}). Name one of them."
            )
        dataset = cls(found[0])
        if dataset.unfinished.exists():
            raise DatasetError(
                f"{dataset.root}: its conversion was interrupted. Finish it with: seg convert LABELME_DIR --update"
            )
        return dataset

    def __reduce__(self) -> tuple[type["VocFolder"], tuple[Path]]:
        return VocFolder, (self.root,)  # without the listing: a pool of processes pickles it with every chunk of work

    def exists(self) -> bool:
        """Whether both folders of a dataset are there."""
        return self.images.is_dir() and self.masks.is_dir()

    def is_empty(self) -> bool:
        """Whether nothing of a dataset is there yet."""
        parts = (self.images, self.masks, self.objects, self.lists)
        return not self.names_file.exists() and not any(part.is_dir() and any(part.iterdir()) for part in parts)

    @property
    def images(self) -> Path:
        return self.root / "JPEGImages"

    @property
    def masks(self) -> Path:
        return self.root / "SegmentationClass"

    @property
    def objects(self) -> Path:
        return self.root / "SegmentationObject"

    @property
    def lists(self) -> Path:
        return self.root / "ImageSets" / "Segmentation"

    @property
    def names_file(self) -> Path:
        return self.root / "class_names.txt"

    @property
    def sources_file(self) -> Path:
        return self.root / "sources.csv"

    @property
    def records_file(self) -> Path:
        return self.root / "records.jsonl"

    @property
    def report_file(self) -> Path:
        return self.root / "report.json"

    @property
    def counts_file(self) -> Path:
        """A cache of the pixels of each mask by value."""
        return self.root / "mask_counts.jsonl"

    @property
    def cache(self) -> Path:
        """A folder of decoded samples, see `seg train --cache disk`; may be deleted at any time."""
        return self.root / ".cache"

    @property
    def unfinished(self) -> Path:
        """Exists while a conversion is at work, and after it was interrupted."""
        return self.root / ".unfinished"

    @property
    def split_record(self) -> Path:
        return self.lists / "split.json"

    def list_file(self, name: str, fold: int | None = None) -> Path:
        """The list of one side: `train`, `val`, `trainval` or `test`; with a fold, counted from 1, `train` or `val`."""
        return (self.lists if fold is None else self.lists / f"fold_{fold}") / f"{name}.txt"

    def folds(self) -> list[int]:
        """The folds that have lists, counted from 1."""
        found = (path.name.removeprefix("fold_") for path in self.lists.glob("fold_*") if path.is_dir())
        return sorted(int(number) for number in found if number.isdecimal() and number.isascii())

    def mask(self, stem: str) -> Path:
        """Where the mask of a stem is or goes."""
        return self.masks / f"{stem}.png"

    def object_mask(self, stem: str) -> Path:
        """Where the instance mask of a stem is or goes."""
        return self.objects / f"{stem}.png"

    def image(self, stem: str) -> Path:
        """The picture of a stem, whatever its type. Raises DatasetError if there is none."""
        for suffix in IMAGE_SUFFIXES:
            path = self.images / f"{stem}{suffix}"
            if path.is_file():
                return path
        found = self._image_by_stem.get(stem)
        if found is None:
            raise DatasetError(f"{self.images}: no picture for '{stem}'. Add it or make the lists again: seg split")
        return self.images / found

    @cached_property
    def _image_by_stem(self) -> dict[str, str]:
        """Names with unusual spelling (.JPG, .Png), found by one listing."""
        return {
            p.stem: p.name
            for p in sorted(self.images.iterdir(), reverse=True)
            if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")
        }

    def image_stems(self) -> set[str]:
        """Stems that have a picture."""
        return set(self._image_by_stem)

    def mask_stems(self) -> set[str]:
        """Stems that have a mask."""
        return {p.stem for p in self.masks.iterdir() if p.suffix == ".png" and not p.name.startswith(".")}

    def read_list(self, name: str, fold: int | None = None) -> tuple[str, ...]:
        """The stems of one side, in file order. Raises DatasetError if there is no such list or it repeats a stem."""
        path = self.list_file(name, fold)
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except FileNotFoundError:
            raise DatasetError(f"{path}: there is no such list. {self._how_to_make_it(fold)}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path}: cannot be read as UTF-8 text ({error}).") from None
        stems = tuple(line.rstrip("\r") for line in lines if line.strip())
        if len(set(stems)) != len(stems):
            raise DatasetError(f"{path}: names an image twice. Make it again with: seg split {self.root}")
        return stems

    def _how_to_make_it(self, fold: int | None) -> str:
        if fold is None:
            return f"Make it with: seg split {self.root}"
        folds = self.folds()
        if folds:
            return f"There are folds {', '.join(map(str, folds))}."
        return f"Make folds with: seg split {self.root} --kfold 5"

    def class_map(self) -> ClassMap | None:
        """The classes by `class_names.txt`, or None if the dataset has none."""
        return ClassMap.read(self.names_file) if self.names_file.exists() else None
