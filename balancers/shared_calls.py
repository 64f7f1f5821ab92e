"""What the calls of one service share, whichever client of the process makes them.

The rules are pure (`balancers.calls`); the lock and the clock of the wall are here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..drivers.errors import CircuitOpen
from .calls.breaker import Breaker, CircuitBreaker, Passage
from .calls.budget import SLOTS, RetryBudget
from .calls.hedging import HeadTimes
from .calls.policy import CallPolicy

__all__ = ["SharedCalls"]


class SharedCalls:
    """The retry budget, the circuit breakers and the counters of a service, for any thread.

    Attributes:
        budget: the retries of all clients.
        head_times: of the latest answers to calls that may be hedged.
        breakers: the circuit breakers, by their settings.
        counters: what the rules did, and under ``dry_run_…`` what they would have done.
        wall: seconds since 1970, to which a `Retry-After` may refer.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self.budget = RetryBudget()
        self.head_times = HeadTimes()
        self.breakers: dict[CircuitBreaker, Breaker] = {}
        self.counters: dict[str, int] = {}
        self.wall = wall
        self._policy: CallPolicy | None = None
        # Reentrant: a signal handler that makes a call may interrupt one of the same thread.
        self._lock = threading.RLock()

    def began(self, now: float, policy: CallPolicy) -> float:
        """A call by this policy began; how many retries are left (`RetryBudget.left`)."""
        self._policy = policy
        budget = self.budget
        if now >= budget.turn_at:
            with self._lock:
                budget.turn_to(now)
        # Without the lock, because every call pays for it: if two threads that do this at the same moment count one
        # call, a fifth of a retry is lost.
        budget.calls = calls = budget.calls + 1
        return policy.retry_ratio * calls + policy.retry_reserve * SLOTS - budget.moves.total

    def answered(self, now: float) -> None:
        """A call was answered."""
        with self._lock:
            self.budget.answered(now)

    def left(self, now: float, ratio: float, reserve: float) -> float:
        """As `RetryBudget.left`."""
        with self._lock:
            return self.budget.left(now, ratio, reserve)

    def left_at(self, now: float) -> float | None:
        """How many retries are left by the policy of the latest call; None before the first."""
        policy = self._policy
        return None if policy is None else self.left(now, policy.retry_ratio, policy.retry_reserve)

    def withdraw(self, now: float, ratio: float, reserve: float) -> bool:
        """As `RetryBudget.withdraw`."""
        with self._lock:
            return self.budget.withdraw(now, ratio, reserve)

    def hedge(self, now: float, ratio: float, reserve: float, most_extra: float) -> bool:
        """As `RetryBudget.hedge`."""
        with self._lock:
            return self.budget.hedge(now, ratio, reserve, most_extra)

    def head(self, seconds: float) -> None:
        """An answer began after so many seconds; told by calls that may be hedged."""
        with self._lock:
            self.head_times.add(seconds)

    def head_quantile(self, share: float, least: int) -> float | None:
        """As `HeadTimes.quantile`."""
        with self._lock:
            return self.head_times.quantile(share, least)

    def give_back(self) -> None:
        """As `RetryBudget.give_back`."""
        with self._lock:
            self.budget.give_back()

    def lend(self, now: float) -> bool:
        """As `RetryBudget.lend`."""
        with self._lock:
            return self.budget.lend(now)

    def settle(self, begun: float) -> None:
        """As `RetryBudget.settle`."""
        with self._lock:
            self.budget.settle(begun)

    def breaker(self, settings: CircuitBreaker) -> Breaker:
        """The breaker with these settings; the same one for everybody."""
        made = self.breakers.get(settings)
        if made is None:
            with self._lock:
                made = self.breakers.get(settings)
                if made is None:
                    made = self.breakers[settings] = settings.make(settings)
        return made

    def let_through(self, settings: CircuitBreaker, dry_run: bool, now: float) -> Passage | None:
        """What a call that begins now tells its end to; None if it is only counted that the breaker would refuse it.

        Raises:
            CircuitOpen: the breaker lets no call through.
        """
        breaker = self.breaker(settings)
        permit = breaker.begin(now)
        if permit is not None:
            return Passage(breaker, permit)
        self.count("dry_run_breaker" if dry_run else "breaker_refused")
        if dry_run:
            return None
        raise CircuitOpen(
            "the circuit breaker is open: of the latest calls of the service, "
            f"{settings.failure_ratio:.0%} or more failed"
        )

    def count(self, name: str) -> None:
        """Something happened once more."""
        with self._lock:
            self.counters[name] = self.counters.get(name, 0) + 1
