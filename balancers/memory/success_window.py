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
        turn_at: when the present second is over. Until then a call is counted by `calls += 1`, which nearly all are.
    """

    __slots__ = ("_before", "_buckets", "_second", "calls", "failures", "turn_at")

    def __init__(self) -> None:
        self._buckets: list[int] = [0] * (2 * WINDOW_SECONDS)
        # The calls of the present second are in no bucket before it ends.
        self._before = (0, 0)
        self._second, self.turn_at = 0, 1.0
        self.calls = self.failures = 0

    def add(self, failed: bool, now: float) -> None:
        """A call ended. One that ended before the last is counted as if it had ended then."""
        if now >= self.turn_at:
            self.turn(now)
        self.calls += 1
        if failed:
            self.failures += 1

    def ratio(self) -> float:
        """The part that succeeded, as of the last `add`; 1 without a call."""
        return 1.0 - self.failures / self.calls if self.calls else 1.0

    def clear(self) -> None:
        """Begin anew."""
        self._buckets[:] = [0] * (2 * WINDOW_SECONDS)
        self.calls = self.failures = 0
        self._before = (0, 0)

    def turn(self, now: float) -> None:
        """The second of `now` begins; it is a later one than the present."""
        place = 2 * (self._second % WINDOW_SECONDS)
        self._buckets[place] = self.calls - self._before[0]
        self._buckets[place + 1] = self.failures - self._before[1]
        second = int(now)
        passed, self._second, self.turn_at = second - self._second, second, second + 1.0
        if passed >= WINDOW_SECONDS:
            self.clear()
            return
        for old in range(second - passed + 1, second + 1):
            place = 2 * (old % WINDOW_SECONDS)
            self.calls -= self._buckets[place]
            self.failures -= self._buckets[place + 1]
            self._buckets[place] = self._buckets[place + 1] = 0
        self._before = self.calls, self.failures
