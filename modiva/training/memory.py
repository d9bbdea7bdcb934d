"""Keeps freed memory in the process, where the next step needs it again."""

import ctypes
import sys

# Options of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 << 20


def retain_freed_memory(limit: int = 1 << 30) -> bool:
    """Let this process keep up to `limit` bytes that it has freed; return whether it now does.

    A training step frees what its backward pass kept, and the C library hands it back to the system
    page by page, only to ask for it again: up to a tenth of a step on a CPU. The setting is the
    whole process's, so it is made by what runs for long (private training), never by an import. It
    changes no result, may be repeated, and does nothing outside glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Setting one threshold ends the automatic adjustment of the other.
    return bool(
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD) and mallopt(_TRIM_THRESHOLD, limit)
    )
