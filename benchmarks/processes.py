"""Whole processes: how long they take, how much of the processors, how much memory.

Executed as a program it runs one command and prints its figures as JSON. It is a process of its own, without any
library, because Linux counts the memory of whoever starts a program into that program's peak.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_POLL = 0.002


def measure(command: list[str], home: Path, first_file_in: Path | None = None) -> dict[str, Any]:
    """Run a command to its end; wall, cpu and system (the kernel part of cpu) in seconds, peak in MB (10^6 bytes) of the largest process of its tree.

    home             gets what it prints, and the compiled modules of Python programs: where none are kept, every
                     process compiles its libraries anew, which is not what users see
    first_file_in    also `first`: seconds until a file appears in this folder

    Ends the benchmark if the command fails.
    """
    log = home / "log.txt"
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(home / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    watcher = [sys.executable, "-I", "-S", __file__, str(log), str(first_file_in or ""), *command]
    done = subprocess.run(watcher, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"failed: {' '.join(command)}\n{done.stderr}{log.read_text(errors='replace')[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _run(log: str, folder: str, command: list[str]) -> dict[str, float | None]:
    with open(log, "wb") as out:  # noqa: PTH123  (pathlib would be a library)
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        first = _first_file(folder, process.pid, began) if folder else None
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status):
        sys.exit(1)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "system": usage.ru_stime,
        "peak": peak / 1e6,
        "first": first,
    }


def _first_file(folder: str, pid: int, began: float) -> float | None:
    """Seconds until the folder holds a file under its final name, None if the process ends before."""
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        try:
            if any(not name.startswith(".") for name in os.listdir(folder)):  # noqa: PTH208
                return time.perf_counter() - began
        except FileNotFoundError:
            pass
        time.sleep(_POLL)
    return None


if __name__ == "__main__":
    print(json.dumps(_run(sys.argv[1], sys.argv[2], sys.argv[3:])))
