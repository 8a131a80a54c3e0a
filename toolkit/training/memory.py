"""How many images fit at a time: found by trying, before the first step."""

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch

from toolkit.data.dataset import Batch
from toolkit.errors import RunError
from toolkit.models.device import is_out_of_memory
from toolkit.progress import Progress
from toolkit.training.group import ALONE, Group
from toolkit.training.plan import Plan
from toolkit.training.state import Engine
from toolkit.training.step import Stepper

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows
    resource = None

_FEWEST_STEPS = 8
"""An epoch keeps so many: with fewer and larger steps, a small dataset is hardly learnt."""

_MOST = 64
_USED = 0.9  # of the memory; fragments and other programs need some


def settle_batch(plan: Plan, engine: Engine, group: Group, progress: Progress) -> Plan:
    """Replace `batch: auto` by the most images that fit, at most 64 a device and an eighth of the training images.

    Weights and statistics of the model are as before.
    Raises RunError if a single image does not fit.
    """
    if plan.config.batch != "auto":
        return plan
    at_most = max(1, len(plan.train) // (_FEWEST_STEPS * group.world * plan.config.accumulate))
    fits = _fits_gpu(plan, engine) if plan.device.handle.type == "cuda" else _fits_host(plan, engine)
    found = most(fits, min(_MOST, at_most))
    fewest = -int(group.largest(-found))  # the smallest of all processes
    if fewest < 1:
        group.fail(
            RunError(f"{plan.device}: not even one image of size {plan.config.size} fits. Use a smaller --size.")
        )
    progress.say(f"Batch: {fewest * group.world}, found by trying ({found} at a time fit, tried up to {at_most}).")
    return replace(plan, config=replace(plan.config, batch=fewest * group.world))


def most(fits: Callable[[int], bool], limit: int) -> int:
    """The largest n from 1 to `limit` that fits, by doubling and halving; 0 if not even 1 does."""
    good, bad = 0, limit + 1
    tried = 1
    while good + 1 < bad:
        if fits(tried):
            good = tried
            tried = min(2 * good, limit) if bad == limit + 1 else (good + bad) // 2
        else:
            bad = tried
            tried = (good + bad) // 2
    return good


def _fits_gpu(plan: Plan, engine: Engine) -> Callable[[int], bool]:
    device = plan.device.handle
    total = torch.cuda.get_device_properties(device).total_memory

    def fits(images: int) -> bool:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        try:
            _try(plan, engine, images)
        except torch.OutOfMemoryError:
            return False
        return torch.cuda.max_memory_reserved(device) < _USED * total

    return fits


def _fits_host(plan: Plan, engine: Engine) -> Callable[[int], bool]:
    """From what one and two images take: trying until the memory is gone would have the program killed."""
    available = _USED * available_memory()
    try:
        one = _peak_of(lambda: _try(plan, engine, 1))
        two = _peak_of(lambda: _try(plan, engine, 2))
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return lambda images: False
    each = two - one
    return lambda images: images <= 2 or 0 < each * (images - 2) < available


def _try(plan: Plan, engine: Engine, images: int) -> None:
    """The forward and backward pass of grey images, beside what the optimizer will need; nothing is learnt."""
    size, fine = plan.config.size, plan.config.size * plan.config.upscale
    grey = Batch(
        torch.full((images, size, size, 3), 128, dtype=torch.uint8),
        torch.zeros((images, fine, fine), dtype=torch.uint8),
        ("",) * images,
    )
    statistics = [(buffer, buffer.clone()) for buffer in engine.model.buffers()]
    engine.model.train()
    engine.model.freeze_encoder(False)
    moments = [torch.zeros_like(p) for p in engine.model.parameters() for _ in range(2)]
    try:
        Stepper(plan, engine, ALONE).learn([grey], 0, images)
    finally:
        engine.optimizer.zero_grad(set_to_none=True)
        moments.clear()
        for buffer, before in statistics:
            buffer.copy_(before)


def _peak_of(work: Callable[[], None]) -> int:
    """The most bytes of memory in use while it is done; where that cannot be had, since the process began."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    work()
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_memory()


def peak_memory() -> int:
    """The most bytes of memory that this process has used; 0 where the system does not tell."""
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def available_memory() -> int:
    """Bytes of memory that this program can still get without swapping."""
    free = _free_of_machine()
    with contextlib.suppress(OSError, ValueError):  # a container may be allowed less
        limit, used = (
            int(Path(f"/sys/fs/cgroup/memory.{name}").read_text(encoding="ascii")) for name in ("max", "current")
        )
        free = min(free, limit - used)
    return max(0, free)


def _free_of_machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 << 30
