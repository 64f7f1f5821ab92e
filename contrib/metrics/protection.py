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

__all__ = ["BulkheadCounts", "LimitCounts", "PlacesUse", "Use", "protection_readings"]

Use = tuple[int, float, int]
"""How many requests hold a place; the times at which places were given back, less those at which they were taken; and
how many requests got one. (So there is one addition for each time, and the seconds for which places are held are known
without a thought of them in between.)
"""


class PlacesUse:
    """What requests make of places: of all that an event loop has, or of a single one that threads have by turns.

    Attributes:
        use: is replaced as a whole, by one request at a time; so nobody needs a lock, and who reads it in another
            thread neither.
    """

    __slots__ = ("use",)

    def __init__(self) -> None:
        self.use: Use = 0, 0.0, 0


class BulkheadCounts:
    """The requests that one bulkhead saw; for any thread.

    Args:
        name: the value of the label.
        places: how many requests may be under way.
        clock: seconds.

    Attributes:
        waiting: requests that wait for a place.
    """

    def __init__(self, name: str, places: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._name, self._places, self._clock = name, places, clock
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Begin anew, in a process that was forked."""
        self._lock = threading.Lock()
        self.waiting = self._refused = 0
        self._use: Use = 0, 0.0, 0
        self._uses: tuple[PlacesUse, ...] = ()

    @property
    def in_flight(self) -> int:
        """Requests that hold a place."""
        return self._all_use()[0]

    def wait(self) -> None:
        """A request waits; `refuse` or `wait_no_more` ends that."""
        with self._lock:
            self.waiting += 1

    def begin(self, *uses: PlacesUse) -> None:
        """Requests that make this use of places count from now on."""
        with self._lock:
            self._uses += uses

    def end(self, use: PlacesUse) -> None:
        """There will be none any more."""
        now = self._clock()
        with self._lock:
            if use not in self._uses:  # it is the process's that forked this one
                return
            taken, seconds, entered = use.use
            self._use = self._use[0], self._use[1] + seconds + taken * now, self._use[2] + entered
            self._uses = tuple(each for each in self._uses if each is not use)

    def _all_use(self) -> Use:
        with self._lock:
            taken, seconds, entered = zip(self._use, *(each.use for each in self._uses), strict=True)
        return sum(taken), sum(seconds), sum(entered)

    def wait_no_more(self) -> None:
        """A request waits no more: it has a place, or whoever sent it does not wait."""
        with self._lock:
            self.waiting -= 1

    def refuse(self, waited: bool) -> None:
        """A request got no place."""
        with self._lock:
            self.waiting -= waited
            self._refused += 1

    def used(self) -> tuple[float, int, int]:
        """So far: the seconds for which places were held, added up; requests that got one, and that got none."""
        taken, seconds, entered = self._all_use()
        return seconds + taken * self._clock(), entered, self._refused

    def read(self) -> Iterator[Reading]:
        """All values of this moment."""
        taken, _, entered = self._all_use()
        for name, value in (
            ("pydoudou_bulkhead_places", self._places),
            ("pydoudou_bulkhead_in_flight", taken),
            ("pydoudou_bulkhead_waiting", self.waiting),
            ("pydoudou_bulkhead_entered_total", entered),
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
