"""Timers without a clock: what is due when, driven by whoever knows the time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

__all__ = ["Periodic", "Timer", "Timers"]


class Timer:
    """One call in the future; `cancel` makes it not happen."""

    __slots__ = ("_arguments", "_call", "when")

    def __init__(self, when: float, call: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.when = when
        self._call: Callable[..., None] | None = call
        self._arguments = arguments

    @property
    def pending(self) -> bool:
        """Whether it is still to come."""
        return self._call is not None

    def cancel(self) -> None:
        """Do not call; safe at any time."""
        self._call = None
        self._arguments = ()

    def fire(self) -> None:
        """Call now, unless cancelled."""
        call, arguments = self._call, self._arguments
        self.cancel()
        if call is not None:
            call(*arguments)


class Timers:
    """A heap of timers. Equal times fire in the order in which they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    @property
    def next_at(self) -> float | None:
        """When the next timer is due, or None."""
        while self._heap and not self._heap[0][2].pending:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def at(self, when: float, call: Callable[..., None], *arguments: Any) -> Timer:
        """Call `call(*arguments)` at `when`."""
        self._count += 1
        timer = Timer(when, call, arguments)
        heapq.heappush(self._heap, (when, self._count, timer))
        return timer

    def run(self, now: float) -> None:
        """Fire what is due. Timers that are set meanwhile wait for the next call, so a run always ends."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        for timer in due:
            timer.fire()


class Periodic:
    """Something that is done again and again. It rests while its interval is 0, and must be started again then.

    Args:
        clock: the present moment.
        interval: seconds until the next time, asked each time.
        tick: what to do. It finds the next time already set; a tick that was missed is not made up for.
    """

    __slots__ = ("_clock", "_interval", "_resting", "_tick", "_timers")

    def __init__(
        self, timers: Timers, clock: Callable[[], float], interval: Callable[[], float], tick: Callable[[], None]
    ) -> None:
        self._timers = timers
        self._clock = clock
        self._interval = interval
        self._tick = tick
        self._resting = True

    def start(self, first: Callable[[float], float]) -> None:
        """Go on, if it rests and has an interval by now; `first` makes the first wait of the interval."""
        if self._resting and (wait := self._interval()) > 0:
            self._resting = False
            self._timers.at(self._clock() + first(wait), self._due)

    def _due(self) -> None:
        wait = self._interval()
        self._resting = wait <= 0
        if not self._resting:
            self._timers.at(self._clock() + wait, self._due)
            self._tick()
