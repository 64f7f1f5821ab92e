"""Whether this process should judge others at present, or has reason to think that it is itself in trouble.

A caller that is starved of processor time, or whose event loop stands still, finds everybody slow and many silent. Who
then ejects members, or has them suspected, harms those that are well. Three things speak for that, and each is enough:

- a driver that looks by itself doubts itself (the health score of Lifeguard, for gossip);
- the event loop of the drivers is late, or has been a moment ago;
- timers of the calling program's own event loop fired late. Nobody can watch that loop from outside: the clients, whose
  attempts have timers there, tell.

Watching the drivers' loop takes a timer, and a registry at rest is to wake up for nothing. So it is watched while
somebody asks, which callers do whose calls fail, and for a while after.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio

from .supervised_driver import SupervisedDriver

__all__ = ["LATE", "SelfDoubt"]

_Work = Callable[[], Coroutine[Any, Any, None]]

LATE = 0.1
"""Seconds that a timer may be late without anybody thinking of it."""

_BEAT = 0.1
_WATCHED_FOR = 10.0
"""Seconds that the drivers' loop is watched after somebody has asked."""
_LOOP_DOUBTED_FOR = 2.0
_CALLER_DOUBTED_FOR = 10.0
"""Seconds that lateness counts, counted from its end: what timed out because of it ends then."""


class SelfDoubt:
    """Of one registry that runs. Reading is free of locks, and costs less than a microsecond.

    Args:
        now: see `Clock.now`.
        spawn: has the event loop of the drivers run something; from any thread, without waiting.

    Attributes:
        drivers: whom to ask.
    """

    def __init__(self, now: Callable[[], float], spawn: Callable[[_Work], None]) -> None:
        self.drivers: Sequence[SupervisedDriver] = ()
        self._now = now
        self._spawn = spawn
        self._watching = False
        self._asked_at = -math.inf
        self._next_beat = math.inf
        self._loop_until = -math.inf
        self._loop_late = 0.0
        self._caller_until = -math.inf
        self._caller_late = 0.0

    # -- from any thread -----------------------------------------------------------------------------------------------

    def reason(self) -> str:
        """Why this process should not judge others now, as a line of text; "" if it may."""
        now = self._asked_at = self._now()
        if not self._watching and self.drivers:
            self._watch(now)
        return self._known(now)

    @property
    def known(self) -> str:
        """The same, as far as it is known without watching the drivers' loop for it."""
        return self._known(self._now())

    def _known(self, now: float) -> str:
        if now < self._caller_until:
            return f"timers of the calling program fired {self._caller_late:.2f} s late"
        late = now - self._next_beat
        if late > LATE or now < self._loop_until:
            return f"the event loop of the drivers is {max(late, self._loop_late):.2f} s late"
        for driver in self.drivers:
            if driver.probing is not None and (why := driver.probing.doubt()):
                return why
        return ""

    def calling_late(self, seconds: float) -> None:
        """A timer of the calling program fired so much too late."""
        if seconds > LATE:
            self._caller_late, self._caller_until = seconds, self._now() + _CALLER_DOUBTED_FOR

    def _watch(self, now: float) -> None:
        self._watching = True  # two threads may both come here; then two watch, and end alike
        self._next_beat = now
        self._spawn(self._watch_loop)

    # -- on the event loop ---------------------------------------------------------------------------------------------

    async def _watch_loop(self) -> None:
        try:
            while (now := self._now()) < self._asked_at + _WATCHED_FOR:
                late = now - self._next_beat
                if late > LATE:
                    self._loop_late, self._loop_until = late, now + _LOOP_DOUBTED_FOR
                self._next_beat = now + _BEAT
                await anyio.sleep(_BEAT)
        finally:
            self._next_beat, self._watching = math.inf, False
