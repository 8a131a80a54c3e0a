"""How the process keeps memory."""

import ctypes
import sys

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of glibc's malloc.h
_LARGE = 1 << 20


def give_memory_back() -> None:
    """Have arrays of more than a megabyte returned to the system when they are done with.

    glibc keeps them, in a store for each thread; where threads read and write pictures beside the network, that is
    a seventh of the memory at 12 megapixels. For programs: it holds for the whole process. Elsewhere it does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
