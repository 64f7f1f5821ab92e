"""How much more a server can take, for its dynamic weight: by the places that are taken, and by how long answers take.

    free share = (1 - mean share of the places that were taken) * min(1, 2 * usual time / time)

The mean number of requests under way over their number is how long they took (Little's law): two counters tell both.
Where somebody was refused, nothing is free. "Usual" adapts twenty times as slowly, and twice of it is still good, so
that what is left is what a service in trouble looks like: as many requests as ever, and none of them done.

Callers are to be moved, and not to be shaken: the share is smoothed, and told anew when it has changed by more than one
step of go-doudou's weights, which go from 0 to 8.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..metrics.protection import BulkheadCounts

__all__ = ["OwnLoad"]

_STEP = 1 / 8
_ROUNDED = 1e-9
"""The share is a difference of large numbers: a step shall not seem to be more than one."""

_SMOOTHED_BY = 0.5
_USUAL_BY = 0.05
_STILL_GOOD = 2.0
_LEAST_SECONDS = 0.1
"""Between two readings: less says nothing."""


class OwnLoad:
    """The load of one bulkhead; see `LoadSource`."""

    def __init__(self, counts: BulkheadCounts, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._counts, self._places, self._clock = counts, places, clock
        self._at, self._seen = clock(), counts.used()
        self._free = self._told = 1.0
        self._usual: float | None = None

    def headroom(self) -> float:
        """See `LoadSource`."""
        now = self._clock()
        if now - self._at < _LEAST_SECONDS:
            return self._told
        before, self._seen = self._seen, self._counts.used()
        elapsed, self._at = now - self._at, now
        busy, entered, refused = (new - old for new, old in zip(self._seen, before, strict=True))
        free = 0.0 if refused > 0 else max(0.0, 1.0 - busy / elapsed / self._places) * self._timely(busy, entered)
        self._free += _SMOOTHED_BY * (free - self._free)
        # Above the last half of a step the weight is 8 whatever is told.
        if abs(self._free - self._told) > _STEP + _ROUNDED or self._free > 1 - _STEP / 2:
            self._told = self._free
        return self._told

    def _timely(self, busy: float, entered: float) -> float:
        """What is left of the share for answers that take so much longer than usual."""
        if entered <= 0 or busy <= 0:
            return 1.0
        seconds = busy / entered
        if self._usual is None:
            self._usual = seconds
        self._usual += _USUAL_BY * (seconds - self._usual)
        return min(1.0, _STILL_GOOD * self._usual / seconds)
