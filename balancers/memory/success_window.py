"""How many of a member's calls succeeded in the last ten seconds: exact counts in ten buckets of one second.

An average that is weighted by the time between calls can hide a total outage (linkerd's breaker, for the same reason).
"""

from __future__ import annotations

__all__ = ["WINDOW_SECONDS", "SuccessWindow"]

WINDOW_SECONDS = 10


class SuccessWindow:
    """The buckets of one member.

    Attributes:
        calls, failures: within the window, as of the last `add`.
    """

    __slots__ = ("_buckets", "_second", "calls", "failures")

    def __init__(self) -> None:
        self._buckets: list[int] = [0] * (2 * WINDOW_SECONDS)
        self._second = 0
        self.calls = self.failures = 0

    def add(self, failed: bool, now: float) -> None:
        """A call ended. One that ended before the last is counted as if it had ended then."""
        second = int(now)
        if second > self._second:
            self._turn(second)
        place = 2 * (self._second % WINDOW_SECONDS)
        self._buckets[place] += 1
        self.calls += 1
        if failed:
            self._buckets[place + 1] += 1
            self.failures += 1

    def ratio(self) -> float:
        """The part that succeeded, as of the last `add`; 1 without a call."""
        return 1.0 - self.failures / self.calls if self.calls else 1.0

    def clear(self) -> None:
        """Begin anew."""
        self._buckets[:] = [0] * (2 * WINDOW_SECONDS)
        self.calls = self.failures = 0

    def _turn(self, second: int) -> None:
        passed, self._second = second - self._second, second
        if passed >= WINDOW_SECONDS:
            self.clear()
            return
        for old in range(second - passed + 1, second + 1):
            place = 2 * (old % WINDOW_SECONDS)
            self.calls -= self._buckets[place]
            self.failures -= self._buckets[place + 1]
            self._buckets[place] = self._buckets[place + 1] = 0
