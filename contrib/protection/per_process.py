"""What is made when it is first needed, once in each process.

Not before, because a server may have been imported before it was forked, or before gevent put its own locks and sockets
in place of those of the standard library.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerProcess"]

T = TypeVar("T")


class PerProcess(Generic[T]):
    """What `make` gives, for the process that asks; for any thread."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def get(self) -> T:
        process = os.getpid()
        made = self._made.get(process)
        # Of two threads that make one at the same time, both get the one that is there first.
        return self._made.setdefault(process, self._make()) if made is None else made
