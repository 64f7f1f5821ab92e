"""How much of its memory a process has given back to the C library, and not yet to the system (glibc)."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["free_heap_bytes"]


_COUNTS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class _MallInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _COUNTS]


def free_heap_bytes() -> int:
    """Free bytes in the heaps of this process's threads, of which the system may have some already; -1 if the C library
    does not tell.
    """
    tell = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
    if tell is None:
        return -1
    tell.restype = _MallInfo
    return int(tell().fordblks)
