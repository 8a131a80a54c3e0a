"""Writing ncnn files: pnnx, the converter of ncnn's makers, translates what PyTorch traced."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pnnx
import torch

from toolkit.engines import ncnn_probe
from toolkit.engines.base import ModelCard
from toolkit.engines.naming import weights_of
from toolkit.engines.ncnn_engine import card_of, checksums
from toolkit.engines.network import Network
from toolkit.engines.outcome import short
from toolkit.engines.placing import placing
from toolkit.errors import RunError, UsageError
from toolkit.models.base import SegmentationModel

_SIDES = ((64, 96), (128, 160))
"""Two sizes, from which pnnx learns that sizes vary. It computes what it can at them: large ones take minutes."""

_UNSEEN = (160, 64)
_SECONDS = 1800
_TOLERANCES = {"fp32": 1e-3, "fp16": 0.1}
"""Of a logit, as a share of the largest one: far above rounding, far below another network."""


def write(model: SegmentationModel, card: ModelCard, path: Path) -> tuple[Path, ...]:
    """Write `path` (.param) and, beside it, .bin and .json, see `toolkit.engines.ncnn_engine`.

    A card of fp16 has the weights stored in 16 bits; ncnn computes in fp32 all the same. The result is run on two
    sizes, one that the converter has not seen, and compared with the model.

    Raises UsageError for what ncnn files cannot hold, RunError if the model cannot be translated.
    """
    if card.raw_input:
        raise UsageError("ncnn: the preprocessing cannot be put inside; its input is always float32 (3, h, w).")
    if card.precision not in _TOLERANCES:
        raise UsageError(f"precision: ncnn files hold fp32 or fp16, not {card.precision}.")
    with tempfile.TemporaryDirectory(prefix="seg-ncnn-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        network = Network(model, card).eval()
        sizes = [_multiple(size, card.preprocess.stride) for size in (*_SIDES, _UNSEEN)]
        report = _translate(network, sizes, card, work)
        param, weights = work / "model.ncnn.param", work / "model.ncnn.bin"
        if not (param.is_file() and weights.is_file()):
            raise RunError(f"ncnn: {card.model} cannot be translated ({_last_line(report)}). Choose another format.")
        _compare(network, card, (sizes[0], sizes[-1]), work)
        text, data = param.read_bytes(), weights.read_bytes()
    about = json.loads(card.as_json()) | {"checksums": checksums(text, data)}
    with placing(path) as place:
        (place / weights_of(path).name).write_bytes(data)
        (place / card_of(path).name).write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", "utf-8")
        (place / path.name).write_bytes(text)
    return path, weights_of(path), card_of(path)


def _translate(network: Network, sizes: list[tuple[int, int]], card: ModelCard, work: Path) -> str:
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes taken for constants: the second size frees them; of jit's age
        try:
            traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                network, torch.zeros(1, 3, *sizes[0]), check_trace=False
            )
            traced.save(str(work / "model.pt"))
        except Exception as error:  # whatever a model's own lines raise when traced
            raise RunError(f"ncnn: {card.model} cannot be traced: {short(error)}. Choose another format.") from None
    shapes = [f"[1,3,{h},{w}]f32" for h, w in sizes]
    command = [pnnx.EXEC_PATH, "model.pt", f"inputshape={shapes[0]}", f"inputshape2={shapes[1]}"]
    command.append(f"fp16={int(card.precision == 'fp16')}")
    done = _run(command, work)
    return done.stdout.decode("utf-8", "replace")


def _compare(network: Network, card: ModelCard, sizes: tuple[tuple[int, int], ...], work: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    images = {f"{h}x{w}": torch.randn(1, 3, h, w, generator=generator) for h, w in sizes}
    np.savez(work / "inputs.npz", **{name: image[0].numpy() for name, image in images.items()})  # type: ignore[arg-type]
    program = str(Path(ncnn_probe.__file__).resolve())
    done = _run([sys.executable, program, "model.ncnn.param", "model.ncnn.bin", "inputs.npz", "outputs.npz"], work)
    if done.returncode != 0:
        reason = "refuses" if done.returncode == 1 else "crashes at"
        raise RunError(f"ncnn: it {reason} a layer of {card.model}. Choose another format.")
    with np.load(work / "outputs.npz") as found:
        for name, image in images.items():
            with torch.inference_mode():
                expected = network(image)[0].numpy()
            limit = _TOLERANCES[card.precision] * float(np.abs(expected).max())
            if found[name].shape != expected.shape or not float(np.abs(found[name] - expected).max()) <= limit:
                raise RunError(
                    f"ncnn: the translation of {card.model} computes something else than the model, at {name} pixels. "
                    "Choose another format."
                )


@contextlib.contextmanager
def _no_handler_of_children() -> Iterator[None]:
    """Without the handler that PyTorch leaves after it has loaded data in processes.

    Called when one of ours ends, in a process that has used OpenVINO as well, it was the end of the process here.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGCHLD, before)


def _run(command: list[str], work: Path) -> subprocess.CompletedProcess[bytes]:
    try:
        with _no_handler_of_children():
            return subprocess.run(  # noqa: S603 - no shell, and no word in it comes from outside
                command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_SECONDS, check=False
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"ncnn: its converter, pnnx, did not work: {error}") from None


def _multiple(size: tuple[int, int], stride: int) -> tuple[int, int]:
    h, w = size
    return h + -h % stride, w + -w % stride


def _last_line(report: str) -> str:
    lines = report.strip().splitlines()
    return lines[-1][:200] if lines else "its converter, pnnx, said nothing"
