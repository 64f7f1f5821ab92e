"""What becomes of calls, counted as it happens: everything else is read when somebody looks."""

from __future__ import annotations

import threading
from bisect import bisect_left

import attrs

from ...discovery.observer import Observer
from ...drivers.members import Member, Outcome, Reached

__all__ = ["BUCKETS", "GO_BUCKETS", "MOST_SERVICES", "OTHERS", "CallCounts", "Durations", "ServiceCalls"]

GO_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Those of Prometheus' own client for Go, in seconds: go-doudou's histograms have them."""

BUCKETS = (0.001, 0.0025, *GO_BUCKETS, 30.0, 60.0)
"""Upper bounds in seconds; the last bucket has none."""

MOST_SERVICES = 256
"""Services with rows of their own. Names come from configuration, but a proxy may have them from requests."""

OTHERS = "(others)"
"""The service that the rest is counted for."""

_REACHED = {reached: reached.value.replace(" ", "_") for reached in Reached}
_BY_STATUS = {status: f"{status // 100}xx" for status in range(100, 600)}
_FIRST_ERROR = 400
_ANSWERED = Reached.ANSWERED


@attrs.define(eq=False)
class Durations:
    """A histogram: how many took at most so long, not summed up yet, and the sum of all in seconds."""

    counts: list[int] = attrs.field(factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    def plus(self, other: Durations) -> Durations:
        """Both together."""
        counts = [mine + others for mine, others in zip(self.counts, other.counts, strict=True)]
        return Durations(counts, self.seconds + other.seconds)

    def up_to(self, bounds: tuple[float, ...] = BUCKETS) -> list[tuple[float, int]]:
        """How many took at most so long, for these of the `BUCKETS`."""
        total, found = 0, []
        for bound, count in zip(BUCKETS, self.counts, strict=False):
            total += count
            if bound in bounds:
                found.append((bound, total))
        return found

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)


@attrs.define(eq=False)
class ServiceCalls:
    """The calls of one service.

    Attributes:
        attempts, calls: how many ended, by outcome: how far they got, or the class of the status.
        succeeded, failed: what whole calls took; one that was answered below 400 has succeeded.
    """

    picks: int = 0
    attempts: dict[str, int] = attrs.field(factory=dict)
    calls: dict[str, int] = attrs.field(factory=dict)
    succeeded: Durations = attrs.field(factory=Durations)
    failed: Durations = attrs.field(factory=Durations)

    def copy(self) -> ServiceCalls:
        """As it is now."""
        none = Durations()
        return ServiceCalls(
            self.picks, dict(self.attempts), dict(self.calls), self.succeeded.plus(none), self.failed.plus(none)
        )


class CallCounts(Observer):
    """The calls of all services, for any thread: about a microsecond for each thing that is told.

    Args:
        most_services: with rows of their own.
    """

    def __init__(self, most_services: int = MOST_SERVICES) -> None:
        self._most = most_services
        self._services: dict[str, ServiceCalls] = {}
        # Reentrant: a signal handler that makes a call may interrupt one of the same thread.
        self._lock = threading.RLock()

    def picked(self, service: str, member: Member) -> None:
        """See `Observer`."""
        with self._lock:
            self._of(service).picks += 1

    def attempt_ended(self, service: str, outcome: Outcome) -> None:
        """See `Observer`."""
        reached = outcome.reached
        how = _BY_STATUS.get(outcome.status or 0, "answered") if reached is _ANSWERED else _REACHED[reached]
        with self._lock:
            attempts = self._of(service).attempts
            attempts[how] = attempts.get(how, 0) + 1

    def call_ended(self, service: str, outcome: Outcome) -> None:
        """See `Observer`."""
        reached, status = outcome.reached, outcome.status or 0
        how = _BY_STATUS.get(status, "answered") if reached is _ANSWERED else _REACHED[reached]
        good = reached is _ANSWERED and status < _FIRST_ERROR
        seconds = outcome.before + outcome.seconds
        with self._lock:
            counted = self._of(service)
            counted.calls[how] = counted.calls.get(how, 0) + 1
            (counted.succeeded if good else counted.failed).add(seconds)

    def read(self) -> dict[str, ServiceCalls]:
        """All counts at one moment."""
        with self._lock:
            return {service: counted.copy() for service, counted in self._services.items()}

    def forget(self) -> None:
        """Begin anew, in a process that was forked: its parent goes on telling of what it has counted."""
        self._lock = threading.RLock()
        self._services = {}

    def _of(self, service: str) -> ServiceCalls:
        found = self._services.get(service)
        if found is None:
            name = service if len(self._services) < self._most else OTHERS
            found = self._services.setdefault(name, ServiceCalls())
        return found
