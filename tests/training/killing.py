"""A program: train, be killed without warning at random moments, go on each time, until the run is done.

    python -m tests.training.killing OUT KILLS SEED CONFIG.yaml...

Nothing of torch runs in this process, so that it can be divided (fork) again and again without loading it anew. Of
torch, it loads what the first step of any optimizer does: that takes more than a second, and kills are to come while a
run works.
"""

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch._dynamo  # noqa: F401

from toolkit.errors import DataError
from toolkit.runs.config import TrainConfig
from toolkit.training.run import train

LONGEST = 0.3  # seconds before a kill; more than the start, less than the whole


def attempt(config: TrainConfig, out: Path) -> int:
    """Start or go on in a process of its own; returns its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()  # with its loader processes, so that all are killed together
        try:
            train(resume=out)
        except DataError as error:
            assert "not a training run" in str(error), error
            train(config, out=out)
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def main() -> int:
    """For each of the configurations: OUT/NAME-whole without a kill, and OUT/NAME-killed."""
    out, kills, seed, *files = sys.argv[1:]
    draw = random.Random(int(seed))
    for file in map(Path, files):
        config = TrainConfig.read(file)
        for name, times in ((f"{file.stem}-whole", 0), (f"{file.stem}-killed", int(kills))):
            code = run(config, Path(out) / name, times, draw)
            if code:
                return code
    return 0


def run(config: TrainConfig, out: Path, kills: int, draw: random.Random) -> int:
    """Train to the end in spite of at most so many kills; returns the exit code."""
    for kill in range(kills + 1):
        if not (out / "config.yaml").is_file():  # killed before there was a run
            shutil.rmtree(out, ignore_errors=True)
        child = attempt(config, out)
        deadline = time.monotonic() + (draw.uniform(0.01, LONGEST) if kill < kills else 600)
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                print(f"{out.name} ended after {kill} kills")
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
