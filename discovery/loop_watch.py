"""How late an event loop is: a timer ten times a second that measures when it fires, for as long as somebody asks.

Nothing wakes up for it in a program that is at rest: who makes calls asks, from the first one on, so that lateness is
known before a call fails because of it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

__all__ = ["LATE", "LoopWatch"]

LATE = 0.1
"""Seconds that a timer may be late without anybody thinking of it."""

_BEAT = 0.1
_WATCHED_FOR = 10.0
"""Seconds that the loop is watched after somebody has asked."""


class LoopWatch:
    """Of one event loop.

    Args:
        time: the loop's own time, for any thread that asks.
        call_soon: has the loop call something, from any thread that asks and without waiting.
        on_late: is told, on the loop, of every timer that fired so many seconds late.
        call_later: has the loop call something after so many seconds; called on the loop. By default asyncio's.
    """

    def __init__(
        self,
        time: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
        on_late: Callable[[float], None],
        call_later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        self._time = time
        self._call_soon = call_soon
        self._on_late = on_late
        self._call_later = _asyncio_later if call_later is None else call_later
        self._watching = False
        self._asked_at = -math.inf
        self._due = math.inf

    @property
    def overdue(self) -> float:
        """Seconds that the timer is late by now; below 0 while it is not due."""
        return self._time() - self._due

    def ask(self) -> float:
        """`overdue`, and go on watching."""
        now = self._asked_at = self._time()
        if not self._watching:
            self._watching, self._due = True, now  # two threads may both come here; then two timers fire, and end alike
            self._call_soon(self._beat)
        return now - self._due

    def _beat(self) -> None:
        now = self._time()
        late = now - self._due
        if late > LATE:
            self._on_late(late)
        if now >= self._asked_at + _WATCHED_FOR:
            self._watching, self._due = False, math.inf
            return
        self._due = now + _BEAT
        self._call_later(_BEAT, self._beat)


def _asyncio_later(seconds: float, action: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, action)
