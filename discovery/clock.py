"""Time, passed in: a registry reads no clock but this one.

A clock makes the event loop on which the drivers run, and that loop measures time by the clock. So every sleep and
deadline on it, those of the drivers too, is on the clock that was passed in. Tests pass one that they move by hand
(`tests/support/virtual_clock.py`). Only threads that wait for the loop do so in real time: their deadlines are for a
driver that blocks the loop, whose clock stands still then.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What a registry needs to know of time."""

    def now(self) -> float:
        """Seconds that only grow; from any thread."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """An event loop whose `time()` is `now()`."""


class SystemClock:
    """Real time."""

    now = staticmethod(time.monotonic)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """See `Clock.new_event_loop`: asyncio's own loop measures time by `time.monotonic`."""
        return asyncio.new_event_loop()
