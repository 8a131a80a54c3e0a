"""A training step on a GPU, setting by setting, from those of the tutorials' repository to those of `seg train`.

    python benchmarks/train_gpu.py [--quick] [--minutes 9] [--json FILE]
    python benchmarks/train_gpu.py --device cpu --quick          # whether it works

Every row trains the same VGG16-UNet from the same weights on the same images, copied to the device in every step. Rows
take turns, round after round; a ratio is the median of the ratios of the rounds.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from train_step import CLASSES, LR, make_batch, our_step

from toolkit.models.build import build_model
from toolkit.models.device import choose_device

MODEL = "vgg16-unet"
LARGEST_DIFFERENCE = 0.02  # of the third loss
COMPILING = 90.0  # seconds that have to be left

Row = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What a row has.

    feed      one-hot: float32 images, int64 ids and float32 one-hot ids, which also score every step; float: without
              the last; bytes: uint8 images and ids, made numbers on the device
    autotune  cuDNN tries its algorithms on the first batch
    as_is     the step of `seg train` itself
    """

    name: str
    feed: str = "float"
    half: bool = False
    channels_last: bool = False
    fused: bool = False
    pinned: bool = True
    autotune: bool = True
    compile: bool = False
    as_is: bool = False


PEER = Settings("peer's settings", feed="one-hot")
_PLAIN = Settings("ids instead of one-hot")
_BEST = Settings("all: 16-bit, last, fused, bytes", feed="bytes", half=True, channels_last=True, fused=True)
LADDER = (
    PEER,
    _PLAIN,
    replace(_PLAIN, name="+ channels last", channels_last=True),
    replace(_PLAIN, name="+ 16-bit", half=True),
    replace(_PLAIN, name="+ 16-bit, channels last", half=True, channels_last=True),
    replace(_BEST, name="+ 16-bit, last, fused Adam", feed="float"),
    _BEST,
    replace(_BEST, name="all, memory not pinned", pinned=False),
    replace(_BEST, name="all, no autotuning", autotune=False),
    replace(_BEST, name="all, compiled", compile=True),
    Settings("seg train", autotune=False, as_is=True),
    Settings("seg train --compile", autotune=False, as_is=True, compile=True),
)


def main() -> None:
    options = _options()
    if options.device != "cpu" and not torch.cuda.is_available():
        sys.exit("No CUDA here: nothing to measure. To see whether the benchmark works: --device cpu --quick")
    found = race(options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="0", help="number of the GPU, or cpu [0]")
    parser.add_argument("--size", type=int, help="height and width of the images, a multiple of 32 [512]")
    parser.add_argument("--batches", type=int, nargs="+", help="images at a time [16 8 32 4 2 64]")
    parser.add_argument("--steps", type=int, help="timed steps of a row in a round [10]")
    parser.add_argument("--rounds", type=int, help="[5]")
    parser.add_argument("--minutes", type=float, default=9.0, help="nothing new is begun after that [9]")
    parser.add_argument("--no-compile", action="store_true", help="leave out the rows that compile")
    parser.add_argument("--quick", action="store_true", help="few steps; on a CPU small images, too")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    full = {"size": 512, "batches": [16, 8, 32, 4, 2, 64], "steps": 10, "rounds": 5}
    quick = full | {"batches": [16], "steps": 5, "rounds": 3}
    tiny = {"size": 64, "batches": [2], "steps": 1, "rounds": 2}
    chosen = tiny if options.quick and options.device == "cpu" else quick if options.quick else full
    for name, value in chosen.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def race(options: argparse.Namespace) -> dict[str, Any]:
    """Figures of every row for every batch, printed as they come."""
    device = choose_device(options.device)
    deadline = time.monotonic() + 60 * options.minutes
    flops = 3 * forward_flops(options.size)
    versions = f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    _say(f"{time.strftime('%Y-%m-%d')}, {device}, {versions}")
    _say(f"{options.size}x{options.size}, {CLASSES} classes, {flops / 1e9:.0f} GFLOP an image (three times forward)")
    _say(f"{options.rounds} rounds of {options.steps} steps; ratio: median (least to most) of the rounds")
    found: dict[str, Any] = {"device": str(device), "versions": versions, "gflop": flops / 1e9, "batches": {}}
    for batch in options.batches:
        if time.monotonic() > deadline:
            _say(f"batch {batch}: left out, {options.minutes:g} minutes are over")
            continue
        rows = Race(device, batch, options, deadline).run()
        for row in rows:
            if _is_measured(row):
                _complete(row, rows[0], batch, flops)
        found["batches"][str(batch)] = rows
        _say(_table(batch, rows))
    return found


def forward_flops(size: int) -> int:
    """Of one image, a multiplication and an addition counted as two; nothing is computed."""
    with torch.device("meta"):
        model, image = build_model(MODEL, CLASSES), torch.empty(1, 3, size, size)
    with FlopCounterMode(display=False) as counter:
        model(image)
    return int(counter.get_total_flops())


class Race:
    """All rows for one batch. Models and optimizers of all stay on the device, what a step needs does not."""

    def __init__(self, device: Any, batch: int, options: argparse.Namespace, deadline: float) -> None:
        self.device, self.batch, self.options, self.deadline = device, batch, options, deadline
        self.is_cuda = device.handle.type == "cuda"
        self.images, self.ids = map(torch.from_numpy, make_batch(batch, options.size))
        self.rows: list[Row] = []
        self._steps: dict[str, Callable[[], float]] = {}

    def run(self) -> list[Row]:
        """One dict a row: name, and either `failed` or seconds a step of every round, third loss, memory."""
        for settings in LADDER:
            if not (settings.compile and self.options.no_compile):
                self.rows.append(self._prepare(settings))
        running = [(settings, row) for settings in LADDER for row in self.rows if row["name"] == settings.name]
        for turn in range(self.options.rounds):
            first = turn % len(running)
            for settings, row in running[first:] + running[:first]:
                if "failed" not in row and (turn == 0 or time.monotonic() < self.deadline):
                    self._guarded(row, lambda settings=settings, row=row, turn=turn: self._time(settings, row, turn))
        complete = min((len(row["seconds"]) for row in self.rows if "failed" not in row), default=0)
        for row in self.rows:
            if "failed" not in row:
                del row["seconds"][complete:]  # a round counts if all rows were in it
        self._steps.clear()
        self._free()
        return self.rows

    def _prepare(self, settings: Settings) -> Row:
        row: Row = {"name": settings.name, "seconds": []}
        left = self.deadline - time.monotonic()
        if left < (COMPILING if settings.compile else 0):
            return row | {"failed": "left out: no time"}

        def prepare() -> None:
            torch.backends.cudnn.benchmark = settings.autotune
            before, began = self._allocated(), time.monotonic()
            torch.manual_seed(0)
            step = self._as_is(settings) if settings.as_is else self._step(settings)
            step()
            row["first_seconds"] = time.monotonic() - began
            step()
            row["third_loss"] = step()
            self._steps[settings.name] = step
            row["resident"] = self._allocated() - before

        self._guarded(row, prepare)
        return row

    def _guarded(self, row: Row, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # out of memory, no compiler, ...: the other rows go on
            first_line = str(error).strip().split("\n")[0][:100]
            row["failed"] = f"{type(error).__name__}: {first_line}"
            self._steps.pop(row["name"], None)
            _say(f"batch {self.batch}: {row['name']}: {row['failed']}")
        self._free()

    def _time(self, settings: Settings, row: Row, turn: int) -> None:
        step = self._steps[settings.name]
        torch.backends.cudnn.benchmark = settings.autotune
        step()  # the memory that the last row gave back is taken again
        before = self._allocated()
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(self.options.steps):
            step()
        if self.is_cuda:
            torch.cuda.synchronize()
            row["memory"] = row["resident"] + torch.cuda.max_memory_allocated() - before
        row["seconds"].append((time.perf_counter() - began) / self.options.steps)

    def _as_is(self, settings: Settings) -> Callable[[], float]:
        model, step, _ = our_step(self.options.device, compile=settings.compile)
        _draw_head(model)
        images, ids = self._host(settings, self.images, self.ids)
        numbers = iter(range(10**9))
        return lambda: step(images, ids, next(numbers))

    def _step(self, settings: Settings) -> Callable[[], float]:
        on = self.device.handle
        layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        kind = (self.device.amp or torch.bfloat16) if settings.half else None
        model: Any = build_model(MODEL, CLASSES)
        _draw_head(model)
        model.to(on, memory_format=layout).train()
        net = torch.compile(model) if settings.compile else model
        optimizer = torch.optim.Adam(model.parameters(), LR, fused=settings.fused or None)
        scaler = torch.amp.GradScaler(on.type, enabled=kind is torch.float16)
        host = self._feed(settings)
        is_async = settings.feed == "bytes" and settings.pinned
        weights = torch.ones(CLASSES, device=on)

        def step() -> float:
            images, ids, *shares = (part.to(on, non_blocking=is_async) for part in host)
            if settings.feed == "bytes":
                images, ids = images.permute(0, 3, 1, 2).float().div(255), ids.long()
            images = images.contiguous(memory_format=layout)
            optimizer.zero_grad()
            with torch.autocast(on.type, kind or torch.bfloat16, enabled=kind is not None):
                logits = net(images)
            loss = F.cross_entropy(logits.float(), ids, weights, ignore_index=CLASSES)
            for share in shares:
                dice(logits, share).item()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            return loss.item()

        return step

    def _feed(self, settings: Settings) -> tuple[torch.Tensor, ...]:
        if settings.feed == "bytes":
            return self._host(settings, self.images, self.ids)
        images = self.images.permute(0, 3, 1, 2).float().div(255).contiguous()
        ids = self.ids.long()
        if settings.feed == "float":
            return self._host(settings, images, ids)
        return self._host(settings, images, ids, F.one_hot(ids, CLASSES + 1).float())

    def _host(self, settings: Settings, *parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(part.pin_memory() for part in parts) if settings.pinned and self.is_cuda else parts

    def _allocated(self) -> int:
        if not self.is_cuda:
            return 0
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()

    def _free(self) -> None:
        gc.collect()
        if self.is_cuda:
            torch.cuda.empty_cache()


def _draw_head(model: Any) -> None:
    """A head that answers to what it gets: as it is built, all losses begin at the same value, right or wrong."""
    torch.manual_seed(1)
    weight = model.head.weight
    with torch.no_grad():
        weight.copy_(torch.randn(weight.shape) * (2 / weight.shape[1]) ** 0.5)


@torch.no_grad()
def dice(logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Mean Dice of the pixels surer than 1/2; what the tutorials' loop computes of every training batch.

    logits (N, K, H, W), shares float one-hot (N, H, W, K + 1), the last one for ignored pixels.
    """
    sure = (logits.softmax(1) > 0.5).permute(0, 2, 3, 1).float()
    truth = shares[..., :-1]
    both = (sure * truth).sum((0, 1, 2))
    return ((2 * both + 1e-5) / (sure.sum((0, 1, 2)) + truth.sum((0, 1, 2)) + 1e-5)).mean()


def _is_measured(row: Row) -> bool:
    return "failed" not in row and bool(row["seconds"])


def _complete(row: Row, peer: Row, batch: int, flops: int) -> None:
    seconds = median(row["seconds"])
    row |= {"images_per_second": batch / seconds, "tflops": batch * flops / seconds / 1e12}
    if _is_measured(peer):
        ratios = [theirs / own for theirs, own in zip(peer["seconds"], row["seconds"], strict=True)]
        row["ratio"] = {"median": median(ratios), "least": min(ratios), "most": max(ratios)}
        row["is_same_work"] = abs(row["third_loss"] - peer["third_loss"]) <= LARGEST_DIFFERENCE * peer["third_loss"]


def _table(batch: int, rows: list[Row]) -> str:
    width = max(len(row["name"]) for row in rows)
    head = f"{'images/s':>9}  {'TFLOP/s':>8}  {'ratio':>21}  {'GB':>6}  {'first step s':>12}  third loss"
    lines = ["", f"batch {batch}", f"{'':<{width}}  {head}"]
    for row in rows:
        if not _is_measured(row):
            lines.append(f"{row['name']:<{width}}  {row.get('failed', 'left out: no time')}")
            continue
        ratio = row.get("ratio")
        shown = f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})" if ratio else "-"
        memory = f"{row['memory'] / 1e9:.2f}" if "memory" in row else "-"
        lines.append(
            f"{row['name']:<{width}}  {row['images_per_second']:>9.1f}  {row['tflops']:>8.2f}  {shown:>21}  {memory:>6}"
            f"  {row['first_seconds']:>12.1f}  {row['third_loss']:.4f}{'' if row.get('is_same_work', True) else ' differs'}"
        )
    return "\n".join(lines)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
