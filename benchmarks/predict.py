"""Predicting on a processor against the tutorials' repository: the network alone, and photographs from file to file.

    PEER_DIR=CHECKOUT python benchmarks/predict.py --run RUN [--images DIR] [--quick] [--json]

RUN is a folder of `seg train` whose model is vgg16-unet, or a checkpoint of it: the repository's network gets the same
weights, so that their logits can be compared. DIR holds pictures like those that it was trained on. PEER_PYTHON names
an interpreter that has what the repository imports; by default this one.
"""

import argparse
import contextlib
import importlib.util
import io
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from processes import measure
from ratios import Figures, summary

PEER = "peer"
TORCH = "seg, torch"
NEEDS = {"onnxruntime": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino",), "ncnn": ("ncnn", "pnnx")}
CONTESTANTS = {  # engine, precision
    PEER: ("", ""),
    TORCH: ("torch", "auto"),
    "seg, torch fp32": ("torch", "fp32"),
    "seg, onnxruntime": ("onnxruntime", "fp32"),
    "seg, openvino": ("openvino", "auto"),
    "seg, ncnn": ("ncnn", "fp32"),
}
MODEL = "vgg16-unet"
PHOTOGRAPH = (3000, 4000)


def main() -> None:
    options = _options()
    if options.contestant:
        contend(options)
        return
    if not Path(os.environ.get("PEER_DIR", ""), "unet.py").is_file():
        sys.exit("Set PEER_DIR to a checkout of the tutorials' U-Net repository (it has unet.py).")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    with tempfile.TemporaryDirectory(prefix="seg-benchmark-") as folder:
        home = Path(folder)
        prepare(home, options)
        found = race(home, options)
    print(json.dumps(found, indent=2) if options.json else table(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run of seg train, or a checkpoint")
    parser.add_argument("--images", type=Path, help="pictures to compare logits on [noise]")
    parser.add_argument("--exported", type=Path, nargs="*", default=[], help="exported models, int8 ones for example")
    parser.add_argument("--size", type=int, default=512, help="height and width of what the network sees [512]")
    parser.add_argument("--times", type=int, help="timed pictures of a process [5]")
    parser.add_argument("--rounds", type=int, help="[5]")
    parser.add_argument("--cores", type=int, default=2, help="processor cores that all may use [2]")
    parser.add_argument("--only", nargs="+", choices=("network", "photograph"), default=["network", "photograph"])
    parser.add_argument("--quick", action="store_true", help="few pictures: whether it works")
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    parser.add_argument("--contestant", help="instead: take part once, in this process")
    parser.add_argument("--task")
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    for name, value in ({"times": 2, "rounds": 1} if options.quick else {"times": 5, "rounds": 5}).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def prepare(home: Path, options: argparse.Namespace) -> None:
    """Weights for the peer, pictures of the network's size, photographs, and an exported model for each engine."""
    import numpy as np
    import torch
    from PIL import Image

    from toolkit.engines.opening import find_model, load_writer, read_checkpoint

    if options.run is None:
        sys.exit("--run: name a run of seg train, or a checkpoint.")
    best = find_model(options.run)
    model, card = read_checkpoint(best)
    if card.model != MODEL:
        sys.exit(f"--run: the repository has {MODEL}, this is {card.model}.")
    torch.save(list(model.state_dict().values()), home / "weights.pt")
    for engine, suffix in (("onnxruntime", "onnx"), ("openvino", "xml"), ("ncnn", "ncnn.param")):
        if all(map(importlib.util.find_spec, NEEDS[engine])):
            _say(f"writing the model for {engine}")
            format_name = "onnx" if suffix == "onnx" else engine
            (home / engine).mkdir()
            load_writer(format_name)(model, card, home / engine / f"model.{suffix}")
    pictures = _pictures(options.images, options.size)
    np.save(home / "pictures.npy", np.stack([pictures[i % len(pictures)] for i in range(options.times)]))
    (home / "photographs").mkdir()
    for number in range(options.times):
        picture = Image.fromarray(pictures[number % len(pictures)]).resize(PHOTOGRAPH[::-1], Image.Resampling.BICUBIC)
        picture.save(home / "photographs" / f"{number}.jpg", quality=92)
    (home / "about.json").write_text(json.dumps({"run": str(best), "classes": len(card.classes)}), encoding="utf-8")


def _pictures(folder: Path | None, size: int) -> list[Any]:
    import numpy as np
    from PIL import Image

    if folder is None:
        coarse = np.random.default_rng(0).integers(0, 256, (4, 24, 24, 3), np.uint8)
        return [np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BICUBIC)) for one in coarse]
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".png"))[:8]
    if not files:
        sys.exit(f"--images: no picture in {folder}.")
    return [np.asarray(Image.open(path).convert("RGB").resize((size, size))) for path in files]


def race(home: Path, options: argparse.Namespace) -> Figures:
    """Figures of every contestant for each task."""
    found: Figures = {"cores": options.cores, "rounds": options.rounds, "size": options.size, "sets": {}}
    here = [who for who, (engine, _) in CONTESTANTS.items() if engine not in NEEDS or (home / engine).is_dir()]
    here += [f"seg, {path.name}" for path in options.exported]
    for task in options.only:
        runs: dict[str, list[Figures]] = {who: [] for who in here}
        for turn in range(options.rounds):
            for place in range(len(here)):
                who = here[(place + turn) % len(here)]
                runs[who].append(_run(who, task, home, options))
            _say(f"{task}: round {turn + 1} of {options.rounds}: " + _walls(runs))
        found["sets"][task] = {"runs": runs} | summary(runs, PEER)
        if task == "network":
            found["sets"][task]["agreement"] = _agreement(home, here)
    return found


def _walls(runs: dict[str, list[Figures]]) -> str:
    return ", ".join(f"{who} {each[-1]['wall']:.2f} s" for who, each in runs.items())


def _run(who: str, task: str, home: Path, options: argparse.Namespace) -> Figures:
    python = os.environ.get("PEER_PYTHON", sys.executable) if who == PEER else sys.executable
    command = [
        python,
        __file__,
        "--contestant",
        who,
        "--task",
        task,
        "--home",
        str(home),
        "--cores",
        str(options.cores),
    ]
    command += ["--exported", *map(str, options.exported)]
    whole = measure(command, home)
    figures: Figures = json.loads((home / "result.json").read_text(encoding="utf-8"))
    return figures | {"peak": whole["peak"], "system": whole["system"]}


def _agreement(home: Path, here: list[str]) -> Figures:
    """Share of pixels where the largest logit is that of the peer: mean and least over the pictures."""
    import numpy as np

    theirs = np.load(home / f"{_slug(PEER)}.npy")
    shares = {who: (np.load(home / f"{_slug(who)}.npy") == theirs).mean((1, 2)) for who in here}
    return {who: {"mean": float(each.mean()), "least": float(each.min())} for who, each in shares.items()}


def table(found: Figures) -> str:
    """Lines for people."""
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {found['cores']} cores, {found['rounds']} rounds; how many times as fast as the "
        "peer: median (least to most) of the rounds"
    ]
    for task, figures in found["sets"].items():
        width = max(map(len, figures["medians"]))
        what = f"{found['size']}x{found['size']}" if task == "network" else "{1}x{0}, file to file".format(*PHOTOGRAPH)
        lines += ["", f"{task}, {what}"]
        lines.append(
            f"{'':<{width}}  {'s each':>7}  {'cpu s':>7}  {'peak MB':>8}  {'wall':>20}  {'cpu':>20}  same pixels"
        )
        for who, row in figures["medians"].items():
            ratios = "  ".join(f"{_faster(figures['runs'], who, key):>20}" for key in ("wall", "cpu"))
            same = figures.get("agreement", {}).get(who)
            text = f"{same['mean']:.4%} (least {same['least']:.4%})" if same else ""
            lines.append(
                f"{who:<{width}}  {row['wall']:>7.3f}  {row['cpu']:>7.2f}  {row['peak']:>8.0f}  {ratios}  {text}".rstrip()
            )
    return "\n".join(lines)


def _faster(runs: dict[str, list[Figures]], who: str, key: str) -> str:
    each = [theirs[key] / own[key] for theirs, own in zip(runs[PEER], runs[who], strict=True)]
    return f"{median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def _slug(who: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in who)


# --- in the process of a contestant


def contend(options: argparse.Namespace) -> None:
    """Do one task once and write what it took to result.json: seconds for each picture, the first one not counted."""
    import torch

    torch.set_num_threads(options.cores)
    about = json.loads((options.home / "about.json").read_text(encoding="utf-8"))
    task = {"network": _network, "photograph": _photographs}[options.task]
    found = task(options, about)
    (options.home / "result.json").write_text(json.dumps(found), encoding="utf-8")


def _network(options: argparse.Namespace, about: Figures) -> Figures:
    import numpy as np
    import torch

    from toolkit.engines.opening import read_checkpoint

    pictures = torch.from_numpy(np.load(options.home / "pictures.npy"))
    if options.contestant == PEER:
        card = read_checkpoint(Path(about["run"]))[1]
        network = _peer(options.home, about).net

        def logits(images: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                found: torch.Tensor = network(card.preprocess.normalise(images).contiguous())
                return found
    else:
        logits = _engine(options, about).logits
    logits(pictures[:1])
    ids, marks = [], [(time.perf_counter(), time.process_time())]
    for picture in pictures:
        ids.append(logits(picture[None]).argmax(1)[0])
        marks.append((time.perf_counter(), time.process_time()))
    np.save(options.home / f"{_slug(options.contestant)}.npy", torch.stack(ids).to(torch.uint8).numpy())
    steps = list(itertools.pairwise(marks))
    return {name: median(b[i] - a[i] for a, b in steps) for i, name in enumerate(("wall", "cpu"))}


def _photographs(options: argparse.Namespace, about: Figures) -> Figures:
    """JPEG files of 12 megapixels -> masks as files."""
    files = sorted((options.home / "photographs").iterdir())
    with tempfile.TemporaryDirectory(dir=options.home) as folder:
        if options.contestant == PEER:
            predict_all = _peer_predicts(_peer(options.home, about), Path(folder))
        else:
            predict_all = _seg_predicts(_engine(options, about), Path(folder))
        predict_all(files[:1])
        before = time.perf_counter(), time.process_time()
        predict_all(files)
        after = time.perf_counter(), time.process_time()
        if len(list(Path(folder).iterdir())) != len(files):
            sys.exit(f"{options.contestant}: {len(files)} masks were to be written")
    return {"wall": (after[0] - before[0]) / len(files), "cpu": (after[1] - before[1]) / len(files)}


def _peer_predicts(peer: Any, folder: Path) -> Any:
    from PIL import Image

    def predict_all(files: list[Path]) -> None:
        for path in files:
            peer.detect_image(Image.open(path)).save(folder / f"{path.stem}.png")

    return predict_all


def _seg_predicts(engine: Any, folder: Path) -> Any:
    from toolkit.allocation import give_memory_back
    from toolkit.prediction.predictor import Predictor, read_picture
    from toolkit.prediction.stream import stream
    from toolkit.prediction.writers.mask import write

    give_memory_back()  # as the command does
    predictor = Predictor(engine)

    def predict_all(files: list[Path]) -> None:
        def finish(path: Path, prediction: Any) -> None:
            write(prediction, path, folder / path.stem)

        for _ in stream(predictor, files, read=read_picture, finish=finish):
            pass

    return predict_all


def _peer(home: Path, about: Figures) -> Any:
    """The repository's own class, in its mode that gives the mask in colours; its layers come in the order of ours."""
    sys.path.insert(0, os.environ["PEER_DIR"])
    import torch

    path = home / "peer.pt"
    with contextlib.redirect_stdout(io.StringIO()):
        from unet import Unet, unet

        if not path.is_file():
            names = unet(num_classes=about["classes"], backbone="vgg").state_dict()
            weights = torch.load(home / "weights.pt", weights_only=True)
            torch.save(dict(zip(names, weights, strict=True)), path)
        return Unet(model_path=str(path), num_classes=about["classes"], backbone="vgg", cuda=False, mix_type=1)


def _engine(options: argparse.Namespace, about: Figures) -> Any:
    from toolkit.engines.opening import open_engine

    exported = {f"seg, {path.name}": path for path in options.exported}
    if options.contestant in exported:
        return open_engine(exported[options.contestant])
    engine, precision = CONTESTANTS[options.contestant]
    path = options.home / engine if engine in NEEDS else Path(about["run"])
    return open_engine(path, engine=engine, precision=precision, device="cpu")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
