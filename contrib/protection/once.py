"""What is made when it is first needed, once in each process or on each event loop.

Not before, because a server may have been imported before it was forked, or before gevent put its own locks and sockets
in place of those of the standard library; and what waits on one event loop cannot be woken on another.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import ref

from anyio.lowlevel import RunVar

from ...drivers.kit import own_process

__all__ = ["PerLoop", "PerProcess"]

T = TypeVar("T")


class PerProcess(Generic[T]):
    """What `make` gives, for the process that asks; for any thread."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def get(self) -> T:
        made = self._made.get(own_process.number)
        # Of two threads that make one at the same time, both get the one that is there first.
        return self._made.setdefault(own_process.number, self._make()) if made is None else made


class _Mark:
    """Of an event loop, with which it goes."""


_mark: RunVar[_Mark] = RunVar("mark")


class PerLoop(Generic[T]):
    """What `make` gives, for the event loop that runs.

    Args:
        ended: is told of what was made for an event loop that is gone, when something is made for another one.
    """

    def __init__(self, make: Callable[[], T], ended: Callable[[T], object] | None = None) -> None:
        self._make, self._ended = make, ended
        # By the event loop of asyncio, or else by the mark of another library's: that takes ten times as long.
        self._made: dict[ref[AbstractEventLoop] | ref[_Mark], T] = {}

    def get(self) -> T:
        try:
            return self._made[ref(get_running_loop())]
        except (KeyError, RuntimeError):  # there is none yet, or the event loop is another library's
            return self._find()

    def made(self) -> T | None:
        """What was made, if it was."""
        return self._made.get(_running())

    def _find(self) -> T:
        loop = _running()
        if loop not in self._made:
            self._end()
            self._made[loop] = self._make()
        return self._made[loop]

    def _end(self) -> None:
        for loop in tuple(self._made):
            ended = None if loop() is not None else self._made.pop(loop, None)  # another thread may see it as well
            if ended is not None and self._ended is not None:
                self._ended(ended)


def _running() -> ref[AbstractEventLoop] | ref[_Mark]:
    try:
        return ref(get_running_loop())
    except RuntimeError:
        mark = _mark.get(None)
        if mark is None:
            _mark.set(mark := _Mark())
        return ref(mark)
