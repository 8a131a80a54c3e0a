"""Every model of the table against vgg16-unet on a processor: a ratio for docs/models.md.

    python benchmarks/models.py [--size 256] [--rounds 7] [--json] [NAME ...]

Each model takes turns with vgg16-unet in this process: one picture, 21 classes, 32 bits, channels last, evaluation.
A ratio is the median over the rounds of a model's time by the time of vgg16-unet just before it.
"""

import argparse
import gc
import json
import os
import time
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from toolkit.models import MODELS
from toolkit.models.base import SegmentationModel
from toolkit.models.build import build_model

CLASSES = 21
MEASURE = "vgg16-unet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(MODELS), metavar="NAME")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    image = torch.randn(1, 3, options.size, options.size).contiguous(memory_format=torch.channels_last)
    measure, found = _ready(MEASURE), {}
    for name in options.names:
        model = _ready(name)
        _seconds(model, image)
        ratios = []
        for _ in range(options.rounds):
            before = _seconds(measure, image)
            ratios.append(_seconds(model, image) / before)
        found[name] = {"ratio": median(ratios), "least": min(ratios), "most": max(ratios)}
        if not options.json:
            print(f"{name:<24} {median(ratios):6.2f}  ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)
        del model
        gc.collect()
    if options.json:
        print(json.dumps({"size": options.size, "threads": torch.get_num_threads(), "models": found}, indent=2))


def _ready(name: str) -> SegmentationModel:
    model = build_model(name, CLASSES).eval()
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _seconds(model: SegmentationModel, image: torch.Tensor) -> float:
    began = time.perf_counter()
    with torch.inference_mode():
        model(image)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
