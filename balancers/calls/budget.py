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

__all__ = ["MOST_LENT", "SLOTS", "RetryBudget"]

SLOTS = 10
"""Of one second each."""

MOST_LENT = 3
"""Moves under way beyond the budget."""

_SLACK = 1e-9
"""A fifth is no sum of powers of two: five calls shall allow one retry."""


class RetryBudget:
    """The retries of one service. Times are of one monotonic clock; one caller at a time.

    What is told late, by a thread that was held up, counts in the present second.

    Attributes:
        calls: in the last ten seconds. Until `turn_at` one more is counted by `calls += 1`.
        moves: the retries in the last ten seconds.
        turn_at: when the present second is over, and `turn_to` is to be called.
        watching: whether `answered` has to be told: not while nobody asked for a retry in the last ten seconds.
    """

    __slots__ = (
        "_answered",
        "_asked",
        "_earlier",
        "_hedges",
        "_lent",
        "_second",
        "_under_way",
        "calls",
        "moves",
        "turn_at",
        "watching",
    )

    def __init__(self) -> None:
        self._second = -SLOTS
        self.turn_at: float = self._second + 1
        # The calls of all ten seconds; those of the present one are in no slot before it ends, for every call pays.
        self.calls = 0
        self._earlier, self.moves, self._hedges, self._answered, self._lent = (Sum() for _ in range(5))
        self._under_way: list[float] = []
        self.watching = False
        self._asked = -SLOTS

    def answered(self, now: float) -> None:
        """A call was answered."""
        self.turn_to(now)
        answered = self._answered
        answered.counts[self._second % SLOTS] += 1
        answered.total += 1

    def left(self, now: float, ratio: float, reserve: float) -> float:
        """How many retries are allowed now; below 0 after policies that allow more than this one."""
        self.turn_to(now)
        return ratio * self.calls + reserve * SLOTS - self.moves.total

    def withdraw(self, now: float, ratio: float, reserve: float) -> bool:
        """Take one for a retry; whether there was one."""
        left = self.left(now, ratio, reserve)
        self.watching, self._asked = True, self._second
        if left < 1 - _SLACK:
            return False
        self.moves.add(self._second)
        return True

    def hedge(self, now: float, ratio: float, reserve: float, most_extra: float) -> bool:
        """Take one for a second attempt beside the first; whether there was one, within this share of the calls."""
        self.watching, self._asked = True, self._second
        if self.left(now, ratio, reserve) < 1 - _SLACK or (self._hedges.total + 1 > most_extra * self.calls + _SLACK):
            return False
        self.moves.add(self._second)
        self._hedges.add(self._second)
        return True

    def give_back(self) -> None:
        """The retry was not made, because there is nobody to try."""
        self.moves.take_back(self._second)

    def lend(self, now: float) -> bool:
        """One more for a call of which nothing can have been done; `settle` says that it is over."""
        self.turn_to(now)
        self._under_way = [begun for begun in self._under_way if begun > now - SLOTS]  # who never told is forgotten
        if len(self._under_way) >= MOST_LENT or self._lent.total >= self._answered.total:
            return False
        self._under_way.append(now)
        self._lent.add(self._second)
        return True

    def settle(self, begun: float) -> None:
        """The move that was lent for at this time is no longer under way."""
        if begun in self._under_way:
            self._under_way.remove(begun)

    def turn_to(self, now: float) -> None:
        """It is `now`; another second may have begun."""
        if now < self.turn_at:
            return
        second = int(now)
        self._earlier.add(self._second, self.calls - self._earlier.total)
        for counted in (self._earlier, self.moves, self._hedges, self._answered, self._lent):
            counted.clear(max(self._second + 1, second - SLOTS + 1), second)
        self.calls = self._earlier.total
        self._second, self.turn_at = second, second + 1
        self.watching = second - self._asked < SLOTS


class Sum:
    """How often something happened in the last ten seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * SLOTS
        self.total = 0

    def add(self, second: int, many: int = 1) -> None:
        self.counts[second % SLOTS] += many
        self.total += many

    def take_back(self, second: int) -> None:
        if self.counts[second % SLOTS]:
            self.counts[second % SLOTS] -= 1
            self.total -= 1

    def clear(self, first: int, last: int) -> None:
        """These seconds begin."""
        for second in range(first, last + 1):
            self.total -= self.counts[second % SLOTS]
            self.counts[second % SLOTS] = 0
