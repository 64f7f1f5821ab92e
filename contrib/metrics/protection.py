"""What keeps this process from more than it can do, counted: the places of bulkheads, and limits of a rate.

Counted in the process, whichever registry runs in it: the middleware guards a server, and not what it registers.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from weakref import WeakSet

from .families import FAMILIES
from .reading import Reading

__all__ = ["BulkheadCounts", "LimitCounts", "protection_readings"]


class BulkheadCounts:
    """The requests that one bulkhead saw; for any thread.

    Args:
        name: the value of the label.
        places: how many requests may be under way.
        clock: seconds.

    Attributes:
        waiting: requests that wait for a place.
    """

    def __init__(self, name: str, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._places, self._clock = name, places, clock
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Begin anew, in a process that was forked."""
        self._lock = threading.Lock()
        self.waiting = self._entered = self._left = self._refused = 0
        # The times at which places were given back, less those at which they were taken: that is one addition for each,
        # and the seconds for which they are held without a thought of them in between.
        self._held_seconds = 0.0

    @property
    def in_flight(self) -> int:
        """Requests that hold a place."""
        return self._entered - self._left

    def wait(self) -> None:
        """A request waits; `enter` or `refuse` ends that."""
        with self._lock:
            self.waiting += 1

    def enter(self, waited: bool = False) -> None:
        """A request holds a place."""
        now = self._clock()
        with self._lock:
            self._entered += 1
            self._held_seconds -= now
            if waited:
                self.waiting -= 1

    def leave(self) -> None:
        """It gave it back."""
        now = self._clock()
        with self._lock:
            self._left += 1
            self._held_seconds += now

    def give_up(self) -> None:
        """A request waits no more, because whoever sent it does not."""
        with self._lock:
            self.waiting -= 1

    def refuse(self, waited: bool) -> None:
        """A request got no place."""
        with self._lock:
            self.waiting -= waited
            self._refused += 1

    def used(self) -> tuple[float, int, int]:
        """So far: the seconds for which places were held, added up; requests that got one, and that got none."""
        with self._lock:
            now = self._clock()
            return self._held_seconds + self.in_flight * now, self._entered, self._refused

    def read(self) -> Iterator[Reading]:
        """All values of this moment."""
        for name, value in (
            ("pydoudou_bulkhead_places", self._places),
            ("pydoudou_bulkhead_in_flight", self.in_flight),
            ("pydoudou_bulkhead_waiting", self.waiting),
            ("pydoudou_bulkhead_entered_total", self._entered),
            ("pydoudou_bulkhead_refused_total", self._refused),
        ):
            yield FAMILIES[name], (self._name,), value


class LimitCounts:
    """What one limit decided; for any thread.

    Args:
        name: the value of the label.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Begin anew, in a process that was forked."""
        self._lock = threading.Lock()
        self._decided: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()

    def decide(self, how: str) -> None:
        """A request passed, was refused, or was decided without the store: ``passed``, ``refused``, ``open``,
        ``closed``.
        """
        with self._lock:
            self._decided[how] += 1

    def fail(self, failure: str) -> None:
        """The store did not tell."""
        with self._lock:
            self._failures[failure] += 1

    def read(self) -> Iterator[Reading]:
        """All values of this moment."""
        with self._lock:
            decided, failures = dict(self._decided), dict(self._failures)
        for how, count in decided.items():
            yield FAMILIES["pydoudou_limit_decisions_total"], (self._name, how), count
        for failure, count in failures.items():
            yield FAMILIES["pydoudou_limit_store_failures_total"], (self._name, failure), count


_all: WeakSet[BulkheadCounts | LimitCounts] = WeakSet()


def protection_readings() -> Iterator[Reading]:
    """All values of this moment; those of equal labels are to be added up."""
    for counts in tuple(_all):
        yield from counts.read()


def _after_fork() -> None:
    for counts in tuple(_all):
        counts.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
