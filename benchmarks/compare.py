"""Whether two VOC folders hold the same masks."""

from pathlib import Path

import numpy as np
from PIL import Image

MASKS = ("SegmentationClass", "SegmentationObject")


def differences(ours: Path, theirs: Path) -> list[str]:
    """What differs: names, sizes, or pixels of class and instance masks; pictures are compared by name and size."""
    found = []
    for folder in ("JPEGImages", *MASKS):
        names = {path.name for path in (ours / folder).iterdir()}
        others = {path.name for path in (theirs / folder).iterdir()}
        found += [f"{folder}/{name} is in one only" for name in sorted(names ^ others)]
        for name in sorted(names & others):
            with Image.open(ours / folder / name) as first, Image.open(theirs / folder / name) as second:
                if first.size != second.size:
                    found.append(f"{folder}/{name}: {first.size} and {second.size}")
                elif folder in MASKS:
                    count = int((np.asarray(first) != np.asarray(second)).sum())
                    found += [f"{folder}/{name}: {count} pixels"] * bool(count)
    return found
