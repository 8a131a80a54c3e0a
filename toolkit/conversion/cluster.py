"""Work on a Dask cluster, through its `concurrent.futures` executor."""

import importlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import RunError, UsageError

_SECONDS_TO_CONNECT = 15


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """The executor of the cluster whose scheduler listens at `address`, for example tcp://10.0.0.5:8786.

    The machines must see the same files under the same paths, and have seg installed. Raises UsageError without the
    extra `dask`, RunError if the scheduler does not answer or has no worker.
    """
    try:
        distributed = importlib.import_module("distributed")
    except ImportError:
        raise UsageError("--dask needs the extra: pip install 'seg-toolkit[dask]'") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it prints tracebacks of what is said here in a line
    try:
        client = distributed.Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise RunError(f"dask: no scheduler at {address} ({error}). Start one with: dask scheduler") from None
    try:
        if not client.scheduler_info()["workers"]:
            raise RunError(f"dask: the scheduler at {address} has no worker. Start some with: dask worker {address}")
        try:
            client.run(os.chdir, Path.cwd())  # paths are relative to where the command was typed
        except OSError as error:
            raise RunError(
                f"dask: a worker does not see the folder {Path.cwd()} ({error}). Use a shared disk."
            ) from None
        with client.get_executor(pure=False, retries=2) as executor:
            yield executor
    finally:
        client.close()
