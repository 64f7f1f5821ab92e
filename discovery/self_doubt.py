"""Whether this process should judge others at present, or has reason to think that it is itself in trouble.

A caller that is starved of processor time, or whose event loop stands still, finds everybody slow and many silent. Who
then ejects members, or has them suspected, harms those that are well. Three things speak for that, and each is enough:

- a driver that looks by itself doubts itself (the health score of Lifeguard, for gossip);
- the event loop of the drivers is late, or has been a moment ago;
- timers of the calling program's own event loop fired late. No thread can watch that loop from outside; but whoever
  asks on it is there already, so it is watched from then on, asyncio's and trio's. Threads tell what they notice.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from .loop_watch import LATE, LoopWatch
from .supervised_driver import SupervisedDriver

__all__ = ["SelfDoubt"]

_DRIVERS_DOUBTED_FOR = 2.0
_CALLER_DOUBTED_FOR = 10.0
"""Seconds that lateness counts, from its end on: what timed out because of it is counted then."""


class SelfDoubt:
    """Of one registry that runs. Reading is free of locks, and costs about a microsecond.

    Args:
        now: see `Clock.now`; the time of the drivers' event loop as well.
        call_soon: has that loop call something; from any thread, without waiting.

    Attributes:
        drivers: whom to ask.
    """

    def __init__(self, now: Callable[[], float], call_soon: Callable[[Callable[[], None]], None]) -> None:
        self.drivers: Sequence[SupervisedDriver] = ()
        self._now = now
        self._watch = LoopWatch(now, call_soon, self._drivers_late)
        self._of_callers: WeakKeyDictionary[object, LoopWatch] = WeakKeyDictionary()
        self._drivers_until = self._caller_until = -math.inf
        self._late = self._caller_late = 0.0

    def reason(self) -> str:
        """Why this process should not judge others now, as a line of text; "" if it may. From any thread."""
        if not self.drivers:
            return ""
        late = self._watch.ask()
        if (loop := _running_loop()) is not None and (caller := self._caller(loop).ask()) > LATE:
            self.calling_late(caller)
        return self._known(late)

    @property
    def known(self) -> str:
        """The same, as far as it is known without watching any loop for it."""
        return self._known(self._watch.overdue)

    def calling_late(self, seconds: float) -> None:
        """A timer of the calling program fired so much too late."""
        if seconds > LATE:
            self._caller_late, self._caller_until = seconds, self._now() + _CALLER_DOUBTED_FOR

    def _known(self, late: float) -> str:
        now = self._now()
        if now < self._caller_until:
            return f"timers of the calling program fired {self._caller_late:.2f} s late"
        if late > LATE or now < self._drivers_until:
            return f"the event loop of the drivers is {max(late, self._late):.2f} s late"
        for driver in self.drivers:
            if driver.probing is not None and (why := driver.probing.doubt()):
                return why
        return ""

    def _drivers_late(self, seconds: float) -> None:
        self._late, self._drivers_until = seconds, self._now() + _DRIVERS_DOUBTED_FOR

    def _caller(self, loop: object) -> LoopWatch:
        watch = self._of_callers.get(loop)
        if watch is None:
            # It is asked on that loop alone, and does not hold it: a value that held its key would keep both for ever.
            if isinstance(loop, asyncio.AbstractEventLoop):
                watch = LoopWatch(_time_here, _soon_here, self.calling_late)
            else:
                watch = LoopWatch(_trio_time, _trio_soon, self.calling_late, _trio_later)
            self._of_callers[loop] = watch
        return watch


def _time_here() -> float:
    return asyncio.get_running_loop().time()


def _soon_here(action: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(action)


def _trio_time() -> float:
    return float(sys.modules["trio"].current_time())


def _trio_soon(action: Callable[[], None]) -> None:
    _trio_later(0.0, action)


def _trio_later(seconds: float, action: Callable[[], None]) -> None:
    trio: Any = sys.modules["trio"]

    async def wait() -> None:
        await trio.sleep(seconds)
        action()

    # It ends with trio's run, and holds nobody up at its end.
    trio.lowlevel.spawn_system_task(wait)


def _running_loop() -> object | None:
    """The event loop of this thread: asyncio's, or what stands for trio's."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    lowlevel: Any = sys.modules.get("trio.lowlevel")
    if lowlevel is None:
        return None
    try:
        token: object = lowlevel.current_trio_token()
    except RuntimeError:
        return None
    return token
