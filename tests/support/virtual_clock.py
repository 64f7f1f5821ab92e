"""Time that a test moves by hand, for everything that runs on a registry's event loop.

::

    clock = VirtualClock()
    with Registry(settings(plugin), clock=clock) as registry:
        plugin.driver.end(ValueError("a defect"))
        clock.advance(0.5)  # the driver is started again

The loop that the clock makes is asyncio's own, whose selector never waits for time: between two advances it waits for
sockets and other threads alone. `advance` steps from timer to timer, so that all happens in the order of its times, and
returns when the loops have nothing left to do at the new time. What other threads do meanwhile (a worker of the loop)
is real; wait for it with `support.waiting.eventually`.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import weakref
from typing import Any

__all__ = ["VirtualClock"]

_PATIENCE = 5.0
"""Real seconds that a loop has to become idle."""


class VirtualClock:
    """A `Clock` (see `pydoudou.discovery.clock`)."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._loops: weakref.WeakSet[_Loop] = weakref.WeakSet()

    def now(self) -> float:
        return self._now

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop = _Loop(self)
        self._loops.add(loop)
        return loop

    def advance(self, seconds: float) -> None:
        """Let time pass, on all loops of this clock.

        Raises:
            AssertionError: a loop does not come to rest.
        """
        end = self._now + seconds
        while True:
            timers = [timer for loop in list(self._loops) if (timer := loop.settle()) is not None]
            self._now = min([*timers, end])
            if self._now >= end:
                break
        for loop in list(self._loops):
            loop.settle()

    def settle(self) -> None:
        """Let everything happen that is due now."""
        self.advance(0.0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._selector_at_rest = _Selector(clock)
        super().__init__(self._selector_at_rest)

    def time(self) -> float:
        return self._clock.now()

    def settle(self) -> float | None:
        """Wait until all that is due is done; the time of the next timer, None without one."""
        reached = threading.Event()
        selector = self._selector_at_rest
        try:
            self.call_soon_threadsafe(lambda: (selector.busy(), reached.set()))
        except RuntimeError:  # closed
            return None
        assert reached.wait(_PATIENCE) or self.is_closed(), "the loop does not run"
        assert selector.idle.wait(_PATIENCE) or self.is_closed(), "the loop does not come to rest"
        return None if self.is_closed() else selector.next_timer


class _Selector(selectors.DefaultSelector):
    """Waits for events and never for time. `idle` is set while it waits."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.idle = threading.Event()
        self.next_timer: float | None = None
        self._clock = clock

    def busy(self) -> None:
        self.idle.clear()

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        self.next_timer = None if timeout is None else self._clock.now() + timeout
        self.idle.set()
        return super().select(None)
