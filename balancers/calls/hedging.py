"""When a call that waits is sent to a second member as well, and whoever answers first is the answer.

1. Only idempotent calls whose body can be sent again, of clients that can wait for two answers at once.
2. After the time within which the given share of this service's latest answers began; as long as too few have been
   seen, nothing is hedged.
3. At most the given share of calls more, and each of them is paid from the retry budget of the service too.
"""

from __future__ import annotations

from collections import deque

import attrs

from ..checks import a_number, a_whole_number

__all__ = ["HeadTimes", "Hedging"]

_KEPT = 1000
_SORTED_EVERY = 50
"""Answers. Sorting a thousand numbers takes as long as a fifth of a call."""


@attrs.frozen(kw_only=True)
class Hedging:
    """A second attempt while the first one waits.

    Attributes:
        quantile: the share of the service's latest answers that began within the time that is waited; 0.95 is the 95th
            percentile.
        most_extra: the most second attempts, as a share of the calls.
        least_answers: how many answers have to be known before anything is hedged.
    """

    quantile: float = attrs.field(default=0.95, validator=a_number(0.5, 0.999))
    most_extra: float = attrs.field(default=0.05, validator=a_number(0, 1, above=True))
    least_answers: int = attrs.field(default=100, validator=a_whole_number(1))


class HeadTimes:
    """How long the latest answers of a service took to begin, in seconds; one caller at a time."""

    __slots__ = ("_latest", "_sorted", "_unsorted")

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=_KEPT)
        self._sorted: list[float] = []
        self._unsorted = 0

    def add(self, seconds: float) -> None:
        """An answer began after so many seconds."""
        self._latest.append(seconds)
        self._unsorted += 1

    def quantile(self, share: float, least: int) -> float | None:
        """The time within which this share of the answers began; None while fewer than `least` are known."""
        if len(self._latest) < least:
            return None
        if self._unsorted >= _SORTED_EVERY or not self._sorted:
            self._sorted, self._unsorted = sorted(self._latest), 0
        return self._sorted[min(int(share * len(self._sorted)), len(self._sorted) - 1)]
