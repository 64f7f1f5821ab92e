"""What is made when it is first needed, once in each process or on each event loop.

Not before, because a server may have been imported before it was forked, or before gevent put its own locks and sockets
in place of those of the standard library; and what waits on one event loop cannot be woken on another.
"""

from __future__ import annotations

import contextlib
import os
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import ref

from anyio.lowlevel import RunVar

__all__ = ["PerLoop", "PerProcess"]

T = TypeVar("T")


class PerProcess(Generic[T]):
    """What `make` gives, for the process that asks; for any thread."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def get(self) -> T:
        made = self._made.get(os.getpid())
        # Of two threads that make one at the same time, both get the one that is there first.
        return self._made.setdefault(os.getpid(), self._make()) if made is None else made


class PerLoop(Generic[T]):
    """What `make` gives, for the event loop that runs."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: RunVar[T] = RunVar("made")
        # Of the event loop of asyncio that asked last, for most programs have one: a `RunVar` takes ten times as long.
        self._latest: tuple[ref[AbstractEventLoop], T] | None = None

    def made(self) -> T | None:
        """What was made, if it was."""
        return self._made.get(None)

    def get(self) -> T:
        latest = self._latest
        try:
            if latest is not None and latest[0]() is get_running_loop():
                return latest[1]
        except RuntimeError:  # the event loop is one of another library
            pass
        return self._find()

    def _find(self) -> T:
        made = self.made()
        if made is None:
            made = self._make()
            self._made.set(made)
        with contextlib.suppress(RuntimeError):
            self._latest = (ref(get_running_loop()), made)
        return made
