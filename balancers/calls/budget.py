"""How many retries all calls of a service may make together, so that a service that fails is not called three times as
often as one that does not; pure.

1. Over the last ten seconds, in slots of one: each call allows `ratio` retries, each second `reserve` more, and each
   retry takes one. So there are at most 1 + ratio + reserve / rate attempts per call, rate being the calls per second.
2. A move of a call of which nothing can have been done (no connection, or the member said so) takes one as well. When
   none is left, three such moves may be under way at a time nevertheless, as long as there were fewer of them than
   calls that were answered: members that restart one after the other cost no call, and where nobody answers there is
   nobody to move to.

The ratio and the reserve are Finagle's and linkerd's, but for the reserve, which is 10 per second there: at 20 calls
per second that is 1.7 attempts per call.
"""

from __future__ import annotations

__all__ = ["MOST_LENT", "RetryBudget"]

SLOTS = 10
"""Of one second each."""

MOST_LENT = 3
"""Moves under way beyond the budget."""

_SLACK = 1e-9
"""A fifth is no sum of powers of two: five calls shall allow one retry."""


class RetryBudget:
    """The retries of one service. Times are of one monotonic clock; one caller at a time."""

    __slots__ = ("_answered", "_calls", "_hedges", "_lent", "_moves", "_stamps", "_under_way")

    def __init__(self) -> None:
        self._stamps = [-SLOTS] * SLOTS
        self._calls = [0] * SLOTS
        self._moves = [0] * SLOTS
        self._answered = [0] * SLOTS
        self._lent = [0] * SLOTS
        self._hedges = [0] * SLOTS
        self._under_way: list[float] = []

    def deposit(self, now: float) -> None:
        """A call began."""
        second = int(now)
        slot = second % SLOTS
        if self._stamps[slot] != second:
            self._turn(slot, second)
        self._calls[slot] += 1

    def answered(self, now: float) -> None:
        """A call was answered."""
        second = int(now)
        slot = second % SLOTS
        if self._stamps[slot] != second:
            self._turn(slot, second)
        self._answered[slot] += 1

    def left(self, now: float, ratio: float, reserve: float) -> float:
        """How many retries are allowed now; below 0 after policies that allow more than this one."""
        return ratio * self._sum(self._calls, now) + reserve * SLOTS - self._sum(self._moves, now)

    def withdraw(self, now: float, ratio: float, reserve: float) -> bool:
        """Take one for a retry; whether there was one."""
        if self.left(now, ratio, reserve) < 1 - _SLACK:
            return False
        self._take(self._moves, now)
        return True

    def hedge(self, now: float, ratio: float, reserve: float, most_extra: float) -> bool:
        """Take one for a second attempt beside the first; whether there was one, within this share of the calls."""
        if self._sum(self._hedges, now) + 1 > most_extra * self._sum(self._calls, now) + _SLACK:
            return False
        if not self.withdraw(now, ratio, reserve):
            return False
        self._take(self._hedges, now)
        return True

    def give_back(self, now: float) -> None:
        """The retry was not made, because there is nobody to try."""
        slot = int(now) % SLOTS
        if self._stamps[slot] == int(now) and self._moves[slot]:
            self._moves[slot] -= 1

    def lend(self, now: float) -> bool:
        """One more for a call of which nothing can have been done; `settle` says that it is over."""
        self._under_way = [begun for begun in self._under_way if begun > now - SLOTS]  # who never told is forgotten
        if len(self._under_way) >= MOST_LENT or self._sum(self._lent, now) >= self._sum(self._answered, now):
            return False
        self._under_way.append(now)
        self._take(self._lent, now)
        return True

    def settle(self, begun: float) -> None:
        """The move that was lent for at this time is no longer under way."""
        if begun in self._under_way:
            self._under_way.remove(begun)

    def _take(self, counts: list[int], now: float) -> None:
        second = int(now)
        slot = second % SLOTS
        if self._stamps[slot] != second:
            self._turn(slot, second)
        counts[slot] += 1

    def _turn(self, slot: int, second: int) -> None:
        if second < self._stamps[slot]:
            return  # told late, by a thread that was held up: it counts in the slot's present second
        self._stamps[slot] = second
        self._calls[slot] = self._moves[slot] = self._answered[slot] = self._lent[slot] = self._hedges[slot] = 0

    def _sum(self, counts: list[int], now: float) -> int:
        oldest = int(now) - SLOTS
        return sum(count for count, stamp in zip(counts, self._stamps, strict=True) if stamp > oldest)
