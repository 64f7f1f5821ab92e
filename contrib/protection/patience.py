"""When a store that fails is asked again; pure.

After three failures in a row it is asked once a second, by one request at a time: the others shall not each wait for
what does not answer. Threads need no lock here: where they race, two ask and one would have done.
"""

from __future__ import annotations

import math

__all__ = ["Patience"]

_FAILURES = 3
_INTERVAL = 1.0


class Patience:
    """What is remembered of a store's failures."""

    def __init__(self) -> None:
        self._failures = 0
        self._again_at = -math.inf
        self._under_way = False

    @property
    def failing(self) -> bool:
        """Whether it did not answer the last time."""
        return self._failures > 0

    @property
    def over(self) -> bool:
        """Whether it is asked once a second."""
        return self._failures >= _FAILURES

    def may_ask(self, now: float) -> bool:
        """Whether to ask at `now`; who may has to say what came of it."""
        if not self.over:
            return True
        if self._under_way or now < self._again_at:
            return False
        self._under_way, self._again_at = True, now + _INTERVAL
        return True

    def answered(self) -> None:
        """It did."""
        self._failures, self._under_way = 0, False

    def failed(self, now: float) -> None:
        """It did not."""
        self._failures += 1
        self._under_way = False
        if self.over:
            self._again_at = now + _INTERVAL

    def given_up(self) -> None:
        """Who asked did not wait for the answer."""
        self._under_way = False
