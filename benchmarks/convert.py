"""`seg convert` against labelme's own `labelme2voc.py`: whole processes, taking turns, at the same masks.

    LABELME2VOC=.../examples/instance_segmentation/labelme2voc.py python benchmarks/convert.py [--quick] [--json]
    python benchmarks/convert.py --startup

LABELME2VOC_PYTHON names an interpreter that has imgviz, numpy and Pillow; by default this one.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from compare import differences
from folders import PHOTOGRAPHS, SMALL, VOC_SIZED, Recipe, make_folder, write_labels
from processes import measure
from ratios import Figures, race_table, startup_table, summary

DEFAULT, BARE, SEG = "labelme2voc", "labelme2voc --noviz --nonpy", "seg convert"
SLOW_ROUNDS = 2


def main() -> None:
    options = _options()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    with tempfile.TemporaryDirectory(prefix="seg-benchmark-", dir=options.folder) as folder:
        if options.startup:
            found = startup(Path(folder), (30, 300) if options.quick else (300, 3000))
            text = startup_table(found)
        else:
            found = race(Path(folder), options)
            text = race_table(found, DEFAULT)
    print(json.dumps(found, indent=2) if options.json else text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, help="VOC-sized images [1500]")
    parser.add_argument("--photographs", type=int, help="12-megapixel photographs [20]")
    parser.add_argument("--slow-images", type=int, help="VOC-sized images for labelme2voc's default [60]")
    parser.add_argument("--slow-photographs", type=int, help="photographs for labelme2voc's default [3]")
    parser.add_argument("--rounds", type=int, help=f"the slow one takes part in {SLOW_ROUNDS} at most [5]")
    parser.add_argument("--cores", type=int, default=2, help="processor cores that all may use [2]")
    parser.add_argument("--folder", type=Path, help="where the files go; /dev/shm leaves the disk out")
    parser.add_argument("--quick", action="store_true", help="few files, one round: whether it works")
    parser.add_argument("--startup", action="store_true", help="instead: seconds to the first mask, memory by files")
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    options = parser.parse_args()
    full = {"images": 1500, "photographs": 20, "slow_images": 60, "slow_photographs": 3, "rounds": 5}
    quick = {"images": 40, "photographs": 2, "slow_images": 6, "slow_photographs": 2, "rounds": 1}
    for name, value in (quick if options.quick else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def race(home: Path, options: argparse.Namespace) -> Figures:
    """Figures of every contestant on both sets, after the masks were found equal."""
    runner = Runner(home)
    found: Figures = {"cores": options.cores, "rounds": options.rounds, "sets": {}}
    if options.images:
        few = min(options.slow_images, options.images)
        found["sets"]["voc-sized"] = _race_on(runner, "voc-sized", VOC_SIZED, options.images, few, options.rounds)
    if options.photographs:
        few = min(options.slow_photographs, options.photographs)
        found["sets"]["photographs"] = _race_on(
            runner, "photographs", PHOTOGRAPHS, options.photographs, few, options.rounds
        )
    return found


class Runner:
    """Starts the contestants, each time with a new folder to write into.

    Nothing is deleted until the end: ext4 searches long for a free inode where many were freed in the last minutes,
    and who comes next pays for it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.labels = write_labels(home / "labels.txt")
        self.script = os.environ.get("LABELME2VOC", "")
        self.python = os.environ.get("LABELME2VOC_PYTHON", sys.executable)
        self._numbers = itertools.count()
        if not Path(self.script).is_file():
            sys.exit("Set LABELME2VOC to examples/instance_segmentation/labelme2voc.py of labelme's repository.")

    def run(self, who: str, source: Path) -> tuple[Figures, Path]:
        """The figures, and the folder that was written."""
        out = self.home / f"out-{next(self._numbers)}"
        command = [self.python, self.script, str(source), str(out), "--labels", str(self.labels), *who.split()[1:]]
        if who == SEG:
            command = seg_convert(source, out, self.labels)
        os.sync()  # what others wrote is not written out in this one's time
        return measure(command, self.home), out


def seg_convert(source: Path, out: Path, labels: Path) -> list[str]:
    return [sys.executable, "-m", "toolkit", "convert", str(source), "--out", str(out), "--labels", str(labels)]


def _race_on(runner: Runner, name: str, recipe: Recipe, images: int, few: int, rounds: int) -> Figures:
    _say(f"{name}: making {images} images")
    source = make_folder(runner.home / name, recipe, images)
    slow, single = (_first_of(source, count) for count in (few, 1))
    wrong = differences(*(runner.run(who, source)[1] for who in (SEG, BARE)))
    if wrong:
        sys.exit(f"{name}: the masks differ, times mean nothing: {'; '.join(wrong[:3])} ({len(wrong)} in all)")
    _say(f"{name}: class and instance masks of {images} images are equal in every pixel")
    runs: dict[str, list[Figures]] = {SEG: [], BARE: [], DEFAULT: []}
    for turn in range(rounds):
        for who in (SEG, BARE):
            runs[who].append(runner.run(who, source)[0])
        if turn < SLOW_ROUNDS and few > 1:
            one, some = (runner.run(DEFAULT, part)[0] for part in (single, slow))
            runs[DEFAULT].append(_scaled(one, some, few, images))
        shown = ", ".join(f"{who} {each[-1]['wall']:.2f} s" for who, each in runs.items() if len(each) > turn)
        _say(f"{name}: round {turn + 1} of {rounds}: {shown}")
    return {"images": images, "measured_for_default": few, "runs": runs} | summary(runs, SEG)


def _scaled(one: Figures, some: Figures, few: int, images: int) -> Figures:
    """What all images would take: the time of one, and what each further one of a few took."""
    times = {key: one[key] + (some[key] - one[key]) / (few - 1) * (images - 1) for key in ("wall", "cpu", "system")}
    return times | {"peak": some["peak"]}


def _first_of(source: Path, count: int) -> Path:
    """A folder of links to the first files of another; the content is the same, down to the page cache."""
    part = source.with_name(f"{source.name}-{count}")
    part.mkdir()
    for path in sorted(source.glob("*.json"))[:count]:
        for file in (path, path.with_suffix(".jpg")):
            if file.exists():
                os.link(file, part / file.name)
    return part


def startup(home: Path, counts: tuple[int, int]) -> Figures:
    """Seconds until the first mask is there, and the largest process, for few and for many small files."""
    labels = write_labels(home / "labels.txt")
    found: Figures = {"startup": []}
    for count in counts:
        source = make_folder(home / f"small-{count}", SMALL, count)
        runs = []
        for number in range(4):
            out = home / f"out-{count}-{number}"
            os.sync()
            runs.append(measure(seg_convert(source, out, labels), home, first_file_in=out / "SegmentationClass"))
        timed = runs[1:]  # the first one warms the caches
        keys = ("first", "wall", "cpu", "peak")
        found["startup"].append({"images": count} | {key: median(run[key] for run in timed) for key in keys})
    return found


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
