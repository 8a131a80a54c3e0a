"""A program: predict as a whole, killed again and again, by two processes, by two shards at once. All into OUT/NAME.

    python -m tests.prediction.killing OUT WEIGHTS KILLS SEED SOURCE...

Nothing of torch runs in this process, so that it can be divided (fork) again and again without loading it anew.
"""

import os
import random
import signal
import socket
import sys
import time
from pathlib import Path

import torch.distributed

from toolkit.prediction.run import predict

SAVE = ("mask", "ids", "counts", "coco", "video")


def start(out: Path, environment: dict[str, str] | None = None, **options: str | bool) -> int:
    """Predict in a process of its own; returns its id."""
    child = os.fork()
    if child:
        return child
    code = 3
    try:
        os.environ |= environment or {}
        weights, sources = sys.argv[2], sys.argv[5:]
        predict(sources, weights=weights, out=out, save=SAVE, precision="fp32", device="cpu", **options)  # type: ignore[arg-type]
        code = 0
    except BaseException as error:
        print(f"{out}: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def wait(*children: int) -> int:
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


def killed(out: Path, kills: int, draw: random.Random) -> int:
    """Go on until the end in spite of so many kills, each after a line or more were written."""
    for attempt in range(kills + 1):
        child = start(out, resume=attempt > 0)
        if attempt == kills:
            return wait(child)
        before = size(out)
        while size(out) == before and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        if wait(child) != -signal.SIGKILL:
            raise SystemExit(f"it ended before kill {attempt + 1}: more pictures are needed")
    return 0


def size(out: Path) -> int:
    journal = out / "predictions.jsonl"
    return journal.stat().st_size if journal.exists() else 0


def main() -> int:
    out, kills, draw = Path(sys.argv[1]), int(sys.argv[3]), random.Random(int(sys.argv[4]))
    code = wait(start(out / "whole"))
    code |= killed(out / "killed", kills, draw)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    code |= wait(*(start(out / "ranks", shared | {"RANK": rank, "LOCAL_RANK": rank}) for rank in "01"))
    code |= wait(*(start(out / "shards", shard=f"{number}/2") for number in "12"))
    return code


if __name__ == "__main__":
    assert torch.distributed.is_available()
    sys.exit(main())
