"""A training step of `seg train` on a processor against that of the tutorials' repository, at the same work.

    PEER_DIR=CHECKOUT python benchmarks/train_step.py [--quick] [--json]

PEER_PYTHON names an interpreter that has what the repository imports; by default this one.
"""

import argparse
import contextlib
import importlib
import io
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from processes import measure
from ratios import Figures, summary

PEER, OURS, OURS_32 = "peer", "seg train", "seg train --no-amp"
CLASSES = 21
PARAMETERS = 24_892_437
LR = 1e-4
LARGEST_DIFFERENCE = {OURS_32: 0.002, OURS: 0.01}  # of the mean loss; the peer's own is the measure


def main() -> None:
    options = _options()
    if options.contestant:
        contend(options)
        return
    if not Path(os.environ.get("PEER_DIR", ""), "utils", "utils_fit.py").is_file():
        sys.exit("Set PEER_DIR to a checkout of the tutorials' U-Net repository (it has utils/utils_fit.py).")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    with tempfile.TemporaryDirectory(prefix="seg-benchmark-") as folder:
        found = race(Path(folder), options)
    print(json.dumps(found, indent=2) if options.json else table(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, help="height and width of the images [256]")
    parser.add_argument("--batches", type=int, nargs="+", help="images at a time [2 4]")
    parser.add_argument("--steps", type=int, help="timed steps of a process [8]")
    parser.add_argument("--warmup", type=int, help="steps before them [2]")
    parser.add_argument("--rounds", type=int, help="[5]")
    parser.add_argument("--cores", type=int, default=2, help="processor cores that all may use [2]")
    parser.add_argument("--quick", action="store_true", help="small images, few steps: whether it works")
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    parser.add_argument("--contestant", choices=(PEER, OURS, OURS_32), help="instead: take part once, in this process")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    full = {"size": 256, "batches": [2, 4], "steps": 8, "warmup": 2, "rounds": 5}
    quick = {"size": 64, "batches": [2], "steps": 3, "warmup": 1, "rounds": 2}
    for name, value in (quick if options.quick else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def race(home: Path, options: argparse.Namespace) -> Figures:
    """Figures of every contestant for every batch; ends the benchmark if they did not do the same work."""
    found: Figures = {"cores": options.cores, "rounds": options.rounds, "size": options.size, "sets": {}}
    contestants = (PEER, OURS, OURS_32)
    for batch in options.batches:
        runs: dict[str, list[Figures]] = {who: [] for who in contestants}
        for turn in range(options.rounds):
            for who in contestants[turn % 3 :] + contestants[: turn % 3]:
                runs[who].append(_run(who, batch, home, options))
            shown = ", ".join(f"{who} {each[-1]['wall']:.2f} s" for who, each in runs.items())
            _say(f"batch {batch}: round {turn + 1} of {options.rounds}: {shown} a step")
            _check({who: each[-1] for who, each in runs.items()})
        found["sets"][str(batch)] = {"runs": runs} | summary(runs, OURS)
    return found


def _run(who: str, batch: int, home: Path, options: argparse.Namespace) -> Figures:
    python = os.environ.get("PEER_PYTHON", sys.executable) if who == PEER else sys.executable
    command = [python, __file__, "--contestant", who, "--batch", str(batch), "--home", str(home)]
    for name in ("size", "steps", "warmup", "cores"):
        command += [f"--{name}", str(getattr(options, name))]
    whole = measure(command, home)
    figures: Figures = json.loads((home / "result.json").read_text(encoding="utf-8"))
    return figures | {"peak": whole["peak"]}


def _check(last: dict[str, Figures]) -> None:
    theirs = last[PEER]
    for who, figures in last.items():
        if figures["parameters"] != PARAMETERS:
            sys.exit(f"{who}: {figures['parameters']:,} parameters instead of {PARAMETERS:,}: not the same model")
        allowed = LARGEST_DIFFERENCE.get(who, 0.0)
        if abs(figures["loss"] - theirs["loss"]) > allowed * theirs["loss"]:
            sys.exit(
                f"{who}: the mean loss is {figures['loss']:.4f}, the peer's {theirs['loss']:.4f}: not the same work"
            )
        if figures["torch"] != theirs["torch"]:
            _say(f"{who}: torch {figures['torch']}, the peer has {theirs['torch']}: not only the programs are compared")


def table(found: Figures) -> str:
    """Lines for people."""
    size, width = found["size"], len(OURS_32)
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {found['cores']} cores, {found['rounds']} rounds, {size}x{size}, "
        f"{CLASSES} classes; ratio: median (least to most) of the rounds"
    ]
    for batch, figures in found["sets"].items():
        peer_peak = figures["medians"][PEER]["peak"]
        lines += ["", f"batch {batch}"]
        lines.append(
            f"{'':<{width}}  {'s a step':>8}  {'cpu s':>7}  {'peak MB':>8}  {'imports':>7}  {'memory':>6}"
            f"  {'time by seg train':>20}  {'cpu':>20}  precision, loss"
        )
        for who, row in figures["medians"].items():
            ratio = "  ".join(f"{_ratio(figures['ratios'][who][key]):>20}" for key in ("wall", "cpu"))
            last = figures["runs"][who][-1]
            lines.append(
                f"{who:<{width}}  {row['wall']:>8.3f}  {row['cpu']:>7.2f}  {row['peak']:>8.0f}  {last['imported']:>7.0f}"
                f"  {row['peak'] / peer_peak:>6.2f}  {ratio}  {last['precision']}, {last['loss']:.4f}"
            )
    return "\n".join(lines)


def _ratio(values: Figures) -> str:
    return f"{values['median']:.2f} ({values['least']:.2f} to {values['most']:.2f})"


# --- in the process of a contestant


def contend(options: argparse.Namespace) -> None:
    """Do some steps of one contestant and write what they took to result.json."""
    import torch

    torch.set_num_threads(options.cores)
    images, labels = make_batch(options.batch, options.size)
    start = options.home / "start.pt"
    steps = options.warmup + options.steps
    if options.contestant == PEER:
        found = _contend_as_peer(images, labels, start, steps)
    else:
        found = _contend_as_seg(images, labels, start, steps, no_amp=options.contestant == OURS_32)
    timed = found.pop("marks")[options.warmup :]
    for name, place in (("wall", 0), ("cpu", 1), ("system", 2)):
        found[name] = median(after[place] - before[place] for before, after in itertools.pairwise(timed))
    (options.home / "result.json").write_text(json.dumps(found | {"torch": torch.__version__}), encoding="utf-8")


def _mark() -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), os.times().system


def _peak() -> float:
    """Of this process so far, in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def make_batch(batch: int, size: int) -> tuple[Any, Any]:
    """uint8 (N, S, S, 3) and (N, S, S), the same in every process: patches of classes, and colours that tell them."""
    import numpy as np

    random = np.random.default_rng(5)
    coarse = random.integers(0, CLASSES, (batch, 8, 8), dtype=np.uint8)
    labels = coarse.repeat(size // 8, 1).repeat(size // 8, 2)
    noise = random.integers(0, 64, (batch, size, size, 3), dtype=np.uint8)
    colours = random.integers(0, 192, (CLASSES, 3), dtype=np.uint8)
    return colours[labels] + noise, labels


def _contend_as_peer(images: Any, labels: Any, start: Path, steps: int) -> Figures:
    """The repository's own function for an epoch, with batches as its dataset makes them and nothing to validate."""
    sys.path.insert(0, os.environ["PEER_DIR"])
    import numpy as np
    import torch
    from nets.unet import Unet
    from utils.utils_fit import fit_one_epoch_no_val

    imported = _peak()
    model = Unet(num_classes=CLASSES, pretrained=False, backbone="vgg").train()
    _same_start(model, start)
    optimizer = torch.optim.Adam(model.parameters(), LR, betas=(0.9, 0.999), weight_decay=0)
    ids = torch.from_numpy(labels).long()
    batch = (
        torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255).contiguous(),
        ids,
        torch.nn.functional.one_hot(ids, CLASSES + 1).float(),
    )
    marks: list[tuple[float, float, float]] = []

    def batches() -> Iterator[Any]:
        for _ in range(steps + 1):  # a step is what happens between two requests; it asks once more than it uses
            marks.append(_mark())
            yield batch

    history = SimpleNamespace(losses=[0.0, 0.0], append_loss=lambda epoch, loss: found.update(loss=float(loss)))
    found: Figures = {"precision": "32-bit", "parameters": sum(p.numel() for p in model.parameters())}
    quiet = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        fit_one_epoch_no_val(
            model, model, history, optimizer, 0, steps, batches(), 10**9, False, False, False,
            np.ones(CLASSES, np.float32), CLASSES, False, None, 10**9, folder, 0,
        )  # fmt: skip
    return found | {"marks": marks, "imported": imported}


def _contend_as_seg(images: Any, labels: Any, start: Path, steps: int, *, no_amp: bool) -> Figures:
    import torch

    importlib.import_module("toolkit.training.loop")  # all that a training imports
    imported = _peak()
    model, step, device = our_step(no_amp=no_amp)
    _same_start(model, start)
    batch = (torch.from_numpy(images), torch.from_numpy(labels))
    marks, losses = [_mark()], []
    for number in range(steps):
        losses.append(step(*batch, number))
        marks.append(_mark())
    parameters = sum(p.numel() for p in model.parameters())
    precision = str(device).partition(", ")[2]
    found = {"precision": precision, "parameters": parameters, "loss": sum(losses) / steps}
    return found | {"marks": marks, "imported": imported}


def _same_start(model: Any, path: Path) -> None:
    """Weights from a file, so that losses can be compared; the first contestant makes it. Names differ, not the order.

    Convolutions are drawn after He et al., as those of the repository's beginning give the same logits for anything.
    """
    import torch

    if not path.is_file():
        torch.manual_seed(3)
        for parameter in model.parameters():
            if parameter.ndim == 4:
                torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            else:
                torch.nn.init.zeros_(parameter)
        torch.save(list(model.state_dict().values()), path)
    weights = torch.load(path, weights_only=True, mmap=True)
    model.load_state_dict(dict(zip(model.state_dict(), weights, strict=True)))


def our_step(
    device_name: str = "cpu", *, no_amp: bool = False, compile: bool = False
) -> tuple[Any, Callable[[Any, Any, int], float], Any]:
    """The model, a function that does one step of `seg train` as it is, and the device.

    The function takes uint8 (N, S, S, 3) RGB, uint8 (N, S, S) ids and the number of the step, and returns the loss.
    Pictures are scaled to 0..1, as the peer has them, so that both see the same numbers.
    """
    import torch

    from toolkit.data.dataset import Batch
    from toolkit.data.preprocess import Preprocess
    from toolkit.losses.build import build_loss
    from toolkit.models.build import build_model
    from toolkit.models.device import choose_device
    from toolkit.runs.config import TrainConfig
    from toolkit.training.group import Group
    from toolkit.training.optim import make_optimizer
    from toolkit.training.state import Engine
    from toolkit.training.step import Stepper

    config = TrainConfig(lr=LR, amp=False if no_amp else None, compile=compile, device=device_name)
    device = choose_device(config.device, config.amp)
    model: Any = build_model(config.model, CLASSES)
    model.to(device.handle, memory_format=device.memory_format).train()
    plan: Any = SimpleNamespace(
        config=config,
        model=model,
        device=device,
        loss=build_loss(config.loss, None, CLASSES).to(device.handle),
        preprocess=Preprocess(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    )
    scaler = torch.amp.GradScaler(device.handle.type, enabled=device.amp is torch.float16)
    stepper = Stepper(plan, Engine(model, make_optimizer(config, model.parameters(), device.handle), scaler), Group())

    def step(images: Any, targets: Any, number: int) -> float:
        stems = tuple(map(str, range(len(images))))
        return stepper.step([Batch(images, targets, stems)], LR, number, len(images)).loss

    return model, step, device


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
