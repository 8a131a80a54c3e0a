"""Training samples at 512x512 per core: `seg train`'s loader against another trainer's dataset, taking turns.

    PEER_DIR=.../checkout python benchmarks/loader.py [--quick] [--json]

PEER_DIR holds `utils/dataloader.py` with `UnetDataset` and `unet_dataset_collate`; without it, only seg is timed. All
run in this process on one thread, without loader processes, on the same files, whole epochs in turn.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import numpy as np
import torch
from folders import CLASSES, Recipe, draw_mask, make_folder
from ratios import Figures
from torch.utils.data import DataLoader

from toolkit.data.augment import augment_by_name
from toolkit.data.cache import open_cache, worth_keeping
from toolkit.data.dataset import Samples, TrainingSamples, VocSamples
from toolkit.data.loaders import TrainingLoader
from toolkit.data.preprocess import Preprocess
from toolkit.voc.folder import VocFolder
from toolkit.voc.pixels import encode_mask

SIZE, BATCH = 512, 4
KEYS = ("wall", "cpu", "user")
K = len(CLASSES) + 1
PEER, FILES, CACHE = "peer", "seg, files", "seg, cache"
FLOATS, READ = " -> float32", "  read from "
SETS = {
    "500x375": Recipe(((375, 500),), (4, 8), (10, 60), noise=9.0),  # 77 kB, as large as photographs of that size
    "2048x1536": Recipe(((1536, 2048),), (4, 8), (20, 100), noise=8.0),  # 1.1 MB
}

Pass = Callable[[int], Iterator[tuple[torch.Tensor, torch.Tensor]]]
"""Epoch -> images and class ids, batch after batch."""


@dataclass(frozen=True)
class Made:
    """A dataset, and its samples from its files and from the cache."""

    root: Path
    files: VocSamples
    cached: Samples
    facts: Figures


def main() -> None:
    options = _options()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    peer = os.environ.get("PEER_DIR")
    if peer:
        sys.path.insert(0, peer)
    with tempfile.TemporaryDirectory(prefix="seg-benchmark-", dir=options.folder) as folder:
        found: Figures = {"rounds": options.rounds, "augment": options.augment, "peer": bool(peer), "sets": {}}
        for name, count in zip(SETS, (options.images, options.photographs), strict=True):
            made = make_dataset(Path(folder) / name, SETS[name], count, options)
            found["sets"][name] = made.facts | race(name, made, options, with_peer=bool(peer))
    print(json.dumps(found, indent=2) if options.json else table(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, help="of 500x375 pixels [200]")
    parser.add_argument("--photographs", type=int, help="of 2048x1536 pixels [40]")
    parser.add_argument("--rounds", type=int, help="[7]")
    parser.add_argument("--augment", default="default", help="preset of seg [default]")
    parser.add_argument("--longest", type=int, help="longest side in the cache [by the preset's largest zoom]")
    parser.add_argument("--folder", type=Path, help="where the files go; /dev/shm leaves the disk out")
    parser.add_argument("--quick", action="store_true", help="few files, two rounds: whether it works")
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    options = parser.parse_args()
    full, quick = {"images": 200, "photographs": 40, "rounds": 7}, {"images": 24, "photographs": 8, "rounds": 2}
    for name, value in (quick if options.quick else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def make_dataset(home: Path, recipe: Recipe, count: int, options: argparse.Namespace) -> Made:
    """Pictures like photographs with palette masks, in VOC layout, and their cache, built and timed."""
    root = home / "VOC2007"
    make_folder(root / "JPEGImages", recipe, count)
    (root / "SegmentationClass").mkdir()
    for index in range(count):
        (root / "JPEGImages" / f"image_{index:05}.json").unlink()
        (root / "SegmentationClass" / f"image_{index:05}.png").write_bytes(encode_mask(draw_mask(recipe, index)))
    stems = tuple(f"image_{index:05}" for index in range(count))
    files = VocSamples(VocFolder(root), stems)
    longest = options.longest or worth_keeping(SIZE, augment_by_name(options.augment).scale[1])
    began = time.process_time()
    cached = open_cache(files, longest, workers=0)
    facts = {
        "images": count,
        "longest": longest,
        "jpeg_kb": _kilobytes(root / "JPEGImages", "*.jpg") / count,
        "cache_kb": _kilobytes(root / ".cache", "*.pixels") / count,
        "cached_per_cpu_s": count / (time.process_time() - began),
    }
    return Made(root, files, cached, facts)


def _kilobytes(folder: Path, pattern: str) -> float:
    return sum(path.stat().st_size for path in folder.rglob(pattern)) / 1000


def race(name: str, made: Made, options: argparse.Namespace, *, with_peer: bool) -> Figures:
    """CPU and wall seconds of whole epochs, in turns, after all gave the same kind of batches."""
    passes: dict[str, Pass] = {PEER: of_peer(made)} if with_peer else {}
    for who, samples in ((FILES, made.files), (CACHE, made.cached)):
        passes |= {who: of_seg(samples, options.augment), who + FLOATS: of_seg(samples, options.augment, floats=True)}
    for who, one_epoch in passes.items():
        check(who, one_epoch, made.facts["images"])
    parts: dict[str, Callable[[], None]] = {
        READ + place: lambda samples=samples: read_all(samples)  # type: ignore[misc]
        for place, samples in (("files", made.files), ("cache", made.cached))
    }
    works = {who: lambda turn, one=one: [None for _ in one(turn)] for who, one in passes.items()}
    works |= {what: lambda turn, read=read: read() for what, read in parts.items()}
    runs: dict[str, list[Figures]] = {who: [] for who in works}
    for turn in range(options.rounds):
        for who in list(works)[:: 1 if turn % 2 else -1]:  # forth and back: nobody always comes after the same one
            runs[who].append(timed(works[who], turn))
        told = ", ".join(f"{who} {1000 * each[-1]['cpu'] / made.facts['images']:.2f}" for who, each in runs.items())
        print(f"{name}: round {turn + 1} of {options.rounds}, CPU ms an image: {told}", file=sys.stderr, flush=True)
    return {"runs": runs}


def of_peer(made: Made) -> Pass:
    """Its dataset and its collate function in the DataLoader that its training script makes."""
    from utils.dataloader import (  # type: ignore[import-not-found]
        UnetDataset,
        unet_dataset_collate,
    )

    lines = [f"{stem}\n" for stem in made.files.stems]
    dataset = UnetDataset(lines, [SIZE, SIZE], K, True, str(made.root.parent))
    loader = DataLoader(dataset, shuffle=True, batch_size=BATCH, drop_last=True, collate_fn=unet_dataset_collate)

    def one_epoch(epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        np.random.seed(epoch)
        for images, ids, _ in loader:
            yield images, ids

    return one_epoch


def of_seg(samples: Samples, augment: str, *, floats: bool = False) -> Pass:
    """The loader of `seg train`: bytes, as they go to the device; with `floats` what the network gets, made here."""
    preprocess = Preprocess(size=SIZE)
    views = TrainingSamples(samples, preprocess, augment_by_name(augment), 0, K)
    loader = TrainingLoader(views, BATCH, BATCH, 0)

    def one_epoch(epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for step in loader.epoch(epoch):
            for batch in step:
                yield (preprocess.normalise(batch.images) if floats else batch.images), batch.targets

    return one_epoch


def check(who: str, one_epoch: Pass, images: int) -> None:
    """Every image once, SIZE x SIZE of RGB in a type that networks take, and the class ids of its pixels."""
    seen = 0
    for pixels, ids in one_epoch(0):
        N = len(pixels)
        channels_first = (N, 3, SIZE, SIZE) if pixels.dtype == torch.float32 else None
        channels_last = (N, SIZE, SIZE, 3) if pixels.dtype == torch.uint8 else None
        values = set(ids.unique().tolist()) - {255}
        if tuple(pixels.shape) not in (channels_first, channels_last) or tuple(ids.shape) != (N, SIZE, SIZE):
            sys.exit(f"{who}: gave {pixels.dtype} {tuple(pixels.shape)} and {tuple(ids.shape)}, times mean nothing")
        if not values <= set(range(K + 1)) or len(values) < 2:
            sys.exit(f"{who}: gave the ids {sorted(values)}, times mean nothing")
        seen += N
    if seen != images // BATCH * BATCH and seen != images:
        sys.exit(f"{who}: gave {seen} of {images} images, times mean nothing")


def read_all(samples: Samples) -> None:
    """Open them all. What is mapped into memory is read when a view is cut from it, which counts there."""
    for index in range(len(samples)):
        samples[index]


def timed(work: Callable[[int], Any], turn: int) -> Figures:
    """Seconds: wall, cpu, and user, which is cpu without the kernel's part; and how many cores others kept busy."""
    before, began, busy = getrusage(RUSAGE_SELF), time.perf_counter(), _busy_seconds()
    work(turn)
    after, wall = getrusage(RUSAGE_SELF), time.perf_counter() - began
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    others = max(0.0, (_busy_seconds() - busy - user - system) / wall)
    return {"wall": wall, "user": user, "cpu": user + system, "others": others}


def _busy_seconds() -> float:
    """That all programs together kept all cores busy; 0 where the system does not say."""
    try:
        user, nice, system, _, _, interrupts, soft, *_ = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    except OSError:
        return 0.0
    return sum(map(int, (user, nice, system, interrupts, soft))) / float(os.sysconf("SC_CLK_TCK"))


def table(found: Figures) -> str:
    """Lines for people: medians of the rounds, and the peer's time by theirs, round by round."""
    today = time.strftime("%Y-%m-%d")
    lines = [
        f"{today}, one thread, {SIZE}x{SIZE}, preset {found['augment']}, {found['rounds']} rounds; "
        "ratio: median (least to most) of the rounds"
    ]
    for name, figures in found["sets"].items():
        others = [run["others"] for each in figures["runs"].values() for run in each]
        lines += [
            "",
            f"{name}: {figures['images']} images, JPEG {figures['jpeg_kb']:.0f} kB; cache with sides up to "
            f"{figures['longest']}: {figures['cache_kb']:.0f} kB an image, {figures['cached_per_cpu_s']:.0f} images/s "
            f"to build; other programs used {median(others):.2f} cores",
            f"{'':<22}  {'wall ms':>7}  {'cpu ms':>7}  {'user ms':>7}  {'images/s':>8}  {'cpu ratio':>20}  {'user ratio':>20}",
        ]
        for who, each in figures["runs"].items():
            times = {key: 1000 * median(run[key] for run in each) / figures["images"] for key in KEYS}
            theirs = None if who.startswith(READ) else figures["runs"].get(PEER)
            ratios = "  ".join(f"{_ratio(theirs, each, key):>20}" for key in ("cpu", "user"))
            shown = "  ".join(f"{times[key]:>7.2f}" for key in KEYS)
            lines.append(f"{who:<22}  {shown}  {1000 / times['cpu']:>8.0f}  {ratios}".rstrip())
    return "\n".join(lines)


def _ratio(theirs: list[Figures] | None, ours: list[Figures], key: str) -> str:
    if theirs is None:
        return ""
    each = [peer[key] / own[key] for peer, own in zip(theirs, ours, strict=True)]
    return f"{median(each):.1f} ({min(each):.1f} to {max(each):.1f})"


if __name__ == "__main__":
    main()
