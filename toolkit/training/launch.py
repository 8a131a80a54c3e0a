"""`seg train --device 0,1`: a process for each device, all on this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

_POLL = 0.05
_PATIENCE = 20.0  # seconds for the others to end by themselves after one has failed


def is_one_of_several() -> bool:
    """Whether this process was started as one of several that train together."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main() -> bool:
    """Whether this is the one of them that speaks and writes; a process alone is."""
    return os.environ.get("RANK", "0") == "0"


def train_on(devices: int, arguments: Sequence[str]) -> int:
    """Run `seg` with these arguments in so many processes that train together; returns the exit code.

    Ctrl-C and SIGTERM are passed on to all of them; the second time they are ended at once. If one fails, the others
    are ended: they would wait for it.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(devices)}
    shared |= {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // devices)))}
    processes = [
        subprocess.Popen(  # noqa: S603  (this program, with the arguments it was given)
            [sys.executable, "-P", "-m", "toolkit", *arguments],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            start_new_session=True,  # Ctrl-C of the terminal reaches only this process, which passes it on
        )
        for rank in range(devices)
    ]

    asked: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        asked.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(
                    number if len(asked) == 1 else signal.SIGTERM if os.name == "nt" else signal.SIGKILL
                )

    before = {name: signal.signal(name, pass_on) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = _wait(processes)
        return 130 if asked and code else code
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
        for name, handler in before.items():
            signal.signal(name, handler)


def _wait(processes: list[subprocess.Popen[bytes]]) -> int:
    """The first exit code that is not 0, or 0; ends those that do not end by themselves after another has failed."""
    deadline = None
    while any(process.poll() is None for process in processes):
        failed = [process.returncode for process in processes if process.returncode not in (None, 0)]
        if failed and deadline is None:
            deadline = time.monotonic() + _PATIENCE
        if deadline is not None and time.monotonic() > deadline:
            for process in processes:
                if process.poll() is None:
                    process.kill()
        time.sleep(_POLL)
    codes = [process.returncode for process in processes]
    said = [code for code in codes if code > 0]
    return said[0] if said else 1 if any(codes) else 0
