"""Counting the pixels of masks: whole processes, taking turns, at the same counts.

    python benchmarks/count.py [--quick] [--json]

Against one process that decodes each mask with Pillow and counts it with numpy.bincount.
"""

import argparse
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
from folders import VOC_SIZED, draw_mask
from PIL import Image
from processes import measure
from ratios import Figures, race_table, summary

PILLOW, COUNTED, SAVED = "Pillow + bincount", "count_masks", "count_masks, counted before"
AN_HOUR = 3600

Mask = npt.NDArray[np.uint8]


def main() -> None:
    options = _options()
    if options.contestant:
        CONTESTANTS[options.contestant](options.root, options.masks)
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    with tempfile.TemporaryDirectory(prefix="seg-benchmark-", dir=options.folder) as folder:
        found = race(Path(folder), options)
    print(json.dumps(found, indent=2) if options.json else f"{race_table(found)}\n\n{_memory_table(found)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, help="VOC-sized masks [10000]")
    parser.add_argument("--rounds", type=int, help="[5]")
    parser.add_argument("--cores", type=int, default=2, help="processor cores that all may use [2]")
    parser.add_argument("--folder", type=Path, help="where the files go; /dev/shm leaves the disk out")
    parser.add_argument("--quick", action="store_true", help="few files, one round: whether it works")
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    parser.add_argument("--contestant", choices=CONTESTANTS, help="instead: count --root once, print a digest")
    parser.add_argument("--root", type=Path)
    options = parser.parse_args()
    for name, value in {"masks": 300 if options.quick else 10_000, "rounds": 1 if options.quick else 5}.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def by_pillow(root: Path, masks: int) -> None:
    digest = sha256()
    for index in range(masks):
        with Image.open(_path(root, index)) as image:
            counts = np.bincount(np.asarray(image).ravel(), minlength=256)
        digest.update(repr([(value, pixels) for value, pixels in enumerate(counts.tolist()) if pixels]).encode())
    print(digest.hexdigest())


def by_seg(root: Path, masks: int) -> None:
    from toolkit.voc.counts import count_masks
    from toolkit.voc.folder import VocFolder

    table, digest = (
        count_masks(VocFolder(root), [f"image_{index:05}" for index in range(masks)], workers=None),
        sha256(),
    )
    for stem in table.stems:
        digest.update(repr(list(table.row(stem))).encode())
    print(digest.hexdigest())


CONTESTANTS: dict[str, Callable[[Path, int], None]] = {PILLOW: by_pillow, COUNTED: by_seg, SAVED: by_seg}


def race(home: Path, options: argparse.Namespace) -> Figures:
    """Figures of every contestant on the masks of every writer, after the counts were found equal."""
    found: Figures = {"cores": options.cores, "rounds": options.rounds, "sets": {}, "memory": {}}
    _say(f"making {options.masks} masks, {len(WRITERS)} times each")
    roots = make_masks(home, options.masks)
    for name, root in roots.items():
        runs: dict[str, list[Figures]] = {who: [] for who in CONTESTANTS}
        digests = {_run(who, root, options.masks, home)[1] for who in CONTESTANTS}
        if len(digests) > 1:
            sys.exit(f"{name}: the counts differ, times mean nothing")
        _say(f"{name}: the counts of {options.masks} masks are equal")
        for turn in range(options.rounds):
            for who in CONTESTANTS:
                runs[who].append(_run(who, root, options.masks, home)[0])
            shown = ", ".join(f"{who} {each[-1]['wall']:.2f} s" for who, each in runs.items())
            _say(f"{name}: round {turn + 1} of {options.rounds}: {shown}")
        found["sets"][name] = {"images": options.masks, "runs": runs} | summary(runs, COUNTED)
        few = options.masks // 10
        found["memory"][name] = {
            who: [_run(who, root, count, home)[0]["peak"] for count in (few, options.masks)] for who in CONTESTANTS
        }
    return found


def _run(who: str, root: Path, masks: int, home: Path) -> tuple[Figures, str]:
    """The figures of one contestant, and the digest of what it found."""
    saved = root / "mask_counts.jsonl"
    if who == COUNTED:
        saved.unlink(missing_ok=True)
    elif who == SAVED and not saved.is_file():
        sys.exit(f"{saved} was not written")
    command = [sys.executable, __file__, "--contestant", who, "--root", str(root), "--masks", str(masks)]
    return measure(command, home), (home / "log.txt").read_text(encoding="utf-8")


def make_masks(home: Path, masks: int) -> dict[str, Path]:
    """Datasets without pictures: the same masks by each writer, an hour old."""
    roots = {name: home / f"set-{number}" for number, name in enumerate(WRITERS)}
    for root in roots.values():
        (root / "SegmentationClass").mkdir(parents=True)
        (root / "JPEGImages").mkdir()
    for index in range(masks):
        mask = draw_mask(VOC_SIZED, index)
        for name, write in WRITERS.items():
            path = _path(roots[name], index)
            path.write_bytes(write(mask))
            written = path.stat().st_mtime - AN_HOUR
            os.utime(path, (written, written))
    return roots


def _path(root: Path, index: int) -> Path:
    return root / "SegmentationClass" / f"image_{index:05}.png"


def of_seg(mask: Mask) -> bytes:
    from toolkit.voc.pixels import encode_mask

    return encode_mask(mask)


def of_pillow(mask: Mask, *, palette: bool) -> bytes:
    image, buffer = Image.fromarray(mask), io.BytesIO()
    if palette:
        image.putpalette(list(range(256)) * 3)
    image.save(buffer, "PNG")
    return buffer.getvalue()


def of_opencv(mask: Mask) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", mask)[1])


WRITERS: dict[str, Callable[[Mask], bytes]] = {
    "written by seg": of_seg,
    "written by Pillow, palette": lambda mask: of_pillow(mask, palette=True),
    "written by Pillow, grey": lambda mask: of_pillow(mask, palette=False),
    "written by OpenCV, grey": of_opencv,
}


def _memory_table(found: Figures) -> str:
    few = next(iter(found["sets"].values()))["images"] // 10
    lines = [f"{'peak MB of the largest process':<60}  {few:>8}  {10 * few:>8}"]
    for name, figures in found["memory"].items():
        lines += [f"{f'{name}: {who}':<60}  {peaks[0]:>8.1f}  {peaks[1]:>8.1f}" for who, peaks in figures.items()]
    return "\n".join(lines)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
