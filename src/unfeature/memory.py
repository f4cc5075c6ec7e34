"""Freed memory is kept for the next tensors, instead of being given back and asked for again.

glibc maps large blocks anew each time, and the system clears every page of them; for the images
and activations of a training step on a CPU that is a tenth of the time and more.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 32 << 20
"""The highest threshold that glibc takes on 64 bits; in bytes."""


def keep_freed_memory() -> bool:
    """Tell the C library so, for this process; whether it could be told (glibc on Linux)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
