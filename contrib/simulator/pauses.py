"""When a process stands still: a busy machine takes its processor away now and then, or a collector runs."""

from __future__ import annotations

import bisect
from collections.abc import Callable

from .chance import exponential

__all__ = ["Pauses"]


class Pauses:
    """The pauses of one process.

    Args:
        random: draws when they begin, a Poisson process.
        every: mean seconds from one to the next.
        length: seconds that each takes.
        seconds: until when there are any.
    """

    def __init__(self, random: Callable[[], float], every: float, length: float, seconds: float) -> None:
        self._length = length
        self._begin: list[float] = []
        now = exponential(random, every)
        while now < seconds:
            self._begin.append(now)
            now += length + exponential(random, every)

    def goes_on(self, now: float) -> float:
        """When the process goes on that has something to do now: at once, if it does not stand still."""
        place = bisect.bisect_right(self._begin, now) - 1
        return max(now, self._begin[place] + self._length) if place >= 0 else now

    def done(self, begins: float, work: float) -> float:
        """When so much work is done that begins then, or as soon as the process goes on."""
        begins = self.goes_on(begins)
        done = begins + work
        for began in self._begin[bisect.bisect_left(self._begin, begins) :]:
            if began >= done:
                break
            done += self._length
        return done
