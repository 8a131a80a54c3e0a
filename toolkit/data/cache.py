"""Training samples decoded once and kept on disk, mapped into memory: a read costs neither decoding nor a copy.

    ROOT/.cache/LONGEST/ab/abcdef....pixels     one file a sample, named by a digest of its stem; see `cache_entry`

Where an entry is missing, or is not of the files as they are now, the files themselves are read and give the same
pixels. So a cache never decides what is trained on, half of one is worth its half, and any of it may be deleted.
"""

import multiprocessing
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import cv2

from toolkit.data.cache_entry import Origin, entry_bytes, entry_fits, read_entry, write_entry
from toolkit.data.dataset import Sample, VocSamples
from toolkit.data.preprocess import resize_image, resize_mask
from toolkit.errors import SegError
from toolkit.files import write_text
from toolkit.parallel import Crew, shown
from toolkit.progress import SILENT, Progress
from toolkit.voc.folder import VocFolder
from toolkit.voc.pixels import read_header
from toolkit.voc.saved_counts import SETTLED, fingerprint

_ENDING = ".pixels"
_STEP = 128  # pixels between the sizes of caches
_LARGEST_ZOOM = 1.5
_WORTH_SAYING = 1_000_000_000  # bytes
_ROOM_USED = 0.95  # of the free space; a full disk stops more than this program
_LOOKED_AT = 256  # pictures, to estimate the size of all
_ABANDONED = 3600  # seconds after which nobody is still writing a file

_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by seg train --cache disk. May be deleted at any time.\n"


@dataclass(frozen=True)
class _Store:
    """The entries of a dataset for one bound on their sides."""

    dataset: VocFolder
    longest: int

    @property
    def home(self) -> Path:
        return self.dataset.cache

    @property
    def place(self) -> Path:
        return self.home / str(self.longest)

    def entry(self, stem: str) -> str:
        """Where the entry of a stem is or goes."""
        name = _name(stem)
        return f"{self.place}{os.sep}{name[:2]}{os.sep}{name}"

    def origin(self, stem: str) -> Origin | None:
        """The files of a stem as they are now, None if the mask is missing. Raises DatasetError if the picture is."""
        picture, mask = fingerprint(self.dataset.image(stem)), fingerprint(self.dataset.mask(stem))
        return None if picture is None or mask is None else Origin(picture, mask, self.longest)

    def get(self, stem: str) -> Sample:
        """Raises ImageError or DatasetError naming the file."""
        origin = self.origin(stem)
        found = None if origin is None else read_entry(self.entry(stem), origin)
        return self.read(stem) if found is None else Sample(*found, stem)

    def read(self, stem: str) -> Sample:
        """What the entry of a stem would hold, from its files. Raises ImageError or DatasetError naming the file."""
        sample = VocSamples(self.dataset, (stem,))[0]
        size = _reduced((sample.mask.shape[0], sample.mask.shape[1]), self.longest)
        return Sample(resize_image(sample.image, size), resize_mask(sample.mask, size), stem)

    def has(self, stem: str) -> bool:
        """Whether there is an entry of the files as they are now."""
        try:
            origin = self.origin(stem)
        except SegError:
            return False
        return origin is not None and entry_fits(self.entry(stem), origin)

    def add(self, stem: str) -> SegError | None:
        """Make an entry, unless another process has meanwhile. Returns the error of files that cannot be read.

        Raises SegError if it cannot be written.
        """
        if multiprocessing.parent_process() is not None:
            cv2.setNumThreads(0)  # a forked process is without the threads of its parent, and each core has a process
        try:
            origin = self.origin(stem)
            if origin is not None and _waited_until_settled(origin):
                origin = self.origin(stem)
            if origin is not None and entry_fits(self.entry(stem), origin):
                return None
            sample = self.read(stem)
        except SegError as error:
            return error
        if origin is not None:  # from before reading: made of files that were replaced since, it fits no state of them
            entry = Path(self.entry(stem))
            try:
                write_entry(entry, sample.image, sample.mask, origin)
            except SegError as error:
                raise _not_written(entry, error) from None
        return None


@dataclass(frozen=True)
class CachedSamples:
    """`VocSamples` with the longest side of every sample at most `longest`, from the cache where it has them.

    Pictures are averaged over areas, masks take the nearest class, as in `Preprocess`; small ones stay as they are.
    Holds no open file: a loader process is sent the list of stems, and maps what it reads.
    """

    samples: VocSamples
    longest: int

    @property
    def folder(self) -> VocFolder:
        return self.samples.folder

    @property
    def stems(self) -> tuple[str, ...]:
        return self.samples.stems

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        """One sample: uint8 (h, w, 3) RGB and uint8 (h, w) ids. What is written to them stays in memory.

        Raises ImageError or DatasetError naming the file, as `VocSamples` does.
        """
        return _Store(self.folder, self.longest).get(self.stems[index])


def open_cache(
    samples: VocSamples, longest: int, *, workers: int | None = None, progress: Progress = SILENT
) -> CachedSamples:
    """Complete the cache of `samples` with sides of at most `longest` pixels, and return it.

    Only what is missing or has changed is read. Several programs may do this at the same time: they share the work.
    Samples that cannot be read raise their error when they are asked for, not here.

    workers   processes; 0: this one; None: more if they save more than they cost
    Raises SegError if the disk has no room, or the dataset's folder cannot be written.
    """
    store = _Store(samples.folder, longest)
    with Crew(workers) as crew:
        held = shown(progress, crew.map(store.has, samples.stems), "Checking the cache", len(samples))
        missing = [stem for stem, there in zip(samples.stems, held, strict=True) if not there]
        if missing:
            _prepare(store, samples.stems)
            _refuse_too_large(store, missing, progress)
            start = secrets.randbelow(len(missing))  # programs that start at different places share the work
            errors = crew.map(store.add, missing[start:] + missing[:start])
            bad = [str(error) for error in shown(progress, errors, "Filling the cache", len(missing)) if error]
            if bad:
                progress.warn(f"{len(bad)} of {len(samples)} samples cannot be read. The first of them: {min(bad)}")
    return CachedSamples(samples, longest)


def worth_keeping(size: int, zoom: float) -> int:
    """The longest side of a cached sample, in pixels, for networks of `size` and views enlarged up to `zoom` times.

    One and a half times the size at most: what more would add to the few views enlarged further is hardly seen, and
    all the others would have to average it away again, from twice the bytes. In steps of 128, so that networks of
    similar sizes share a cache.
    """
    return -(-round(size * min(max(zoom, 1.0), _LARGEST_ZOOM)) // _STEP) * _STEP


def _name(stem: str) -> str:
    """A file name for any stem, however long, and whatever is in it."""
    return blake2b(os.fsencode(stem), digest_size=16).hexdigest() + _ENDING


def _reduced(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(H, W) -> (h, w), never larger, each at least 1."""
    H, W = size
    scale = longest / max(H, W)
    return size if scale >= 1 else (max(1, round(H * scale)), max(1, round(W * scale)))


def _waited_until_settled(origin: Origin) -> bool:
    """Whether a file was written just now, so that it might be written once more without another time; then waits."""
    ages = [time.time_ns() - written for _, written in (origin.picture, origin.mask)]
    wait = max((SETTLED - age for age in ages if abs(age) < SETTLED), default=0)
    if wait:
        time.sleep(wait / 1e9)
    return wait > 0


def _prepare(store: _Store, stems: Sequence[str]) -> None:
    """Make the folder, which backups and git shall pass over, and delete what is of no use in it any more."""
    try:
        store.place.mkdir(parents=True, exist_ok=True)
        for path, text in ((store.home / "CACHEDIR.TAG", _TAG), (store.home / ".gitignore", "*\n")):
            if not path.exists():
                write_text(path, text)
    except (OSError, SegError) as error:
        raise _not_written(store.home, error) from None
    with suppress(OSError):
        kept = {_name(stem) for stem in (*store.dataset.image_stems(), *stems)}
        for path in _files_in(store.place):
            gone = path.name.endswith(_ENDING) and path.name not in kept
            if gone or (path.name.endswith(".partial") and time.time() - path.stat().st_mtime > _ABANDONED):
                path.unlink(missing_ok=True)


def _files_in(place: Path) -> Iterator[Path]:
    for folder in place.iterdir():
        if folder.is_dir():
            yield from folder.iterdir()


def _refuse_too_large(store: _Store, missing: Sequence[str], progress: Progress) -> None:
    """Say how much will be written, if it is much. Raises SegError if there is no room for it."""
    needed, free = _estimated(store, missing), shutil.disk_usage(store.place).free
    if needed > free * _ROOM_USED:
        others = sorted(path.name for path in store.home.iterdir() if path.is_dir() and path != store.place)
        hint = f" Delete what is there for other sizes ({', '.join(others)}), free" if others else " Free"
        raise SegError(
            f"{store.home}: a cache of {len(missing)} samples needs about {_in_words(needed)}, {_in_words(free)} are free."
            f"{hint} space, make the folder a link to another disk, or train without it: --cache none"
        )
    if needed >= _WORTH_SAYING:
        progress.say(f"The cache in {store.place} takes about {_in_words(needed)} ({_in_words(free)} are free).")


def _estimated(store: _Store, stems: Sequence[str]) -> int:
    """Bytes of the entries of `stems`, by the headers of some of the pictures."""
    sizes = []
    for stem in stems[:: -(-len(stems) // _LOOKED_AT)]:
        with suppress(SegError):
            path = store.dataset.image(stem)
            sizes.append(entry_bytes(_reduced(read_header(path, str(path)).upright_size, store.longest)))
    return round(sum(sizes) / len(sizes) * len(stems)) if sizes else 0


def _in_words(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _not_written(path: Path, error: SegError | OSError) -> SegError:
    cause = error.__cause__ if isinstance(error, SegError) else error
    reason = (cause.strerror if isinstance(cause, OSError) else None) or str(error)
    return SegError(
        f"{path}: the cache cannot be written: {reason}. What is in it stays in use. "
        "Make room or write permission, or train without it: --cache none"
    )
