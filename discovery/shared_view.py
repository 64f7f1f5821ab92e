"""The merged view between threads: drivers report from any of them, balancers read from any of them.

Changes take turns by a lock that is held for the computation alone; snapshots are read without it. Watchers are told
within the lock, so that all of them hear of all changes in one order.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import anyio

from ..drivers.members import Member
from .merging.events import MemberEvent
from .merging.view import MergedView
from .watch import Watch

__all__ = ["DriverSink", "SharedView"]


class SharedView:
    """A `MergedView` in real time.

    Args:
        call_soon: makes the event loop on which `keep_time` runs call something; from any thread, without waiting.

    Attributes:
        merged: the view itself, for reading snapshots.
    """

    def __init__(
        self,
        modes: Sequence[str],
        detection_bounds: Mapping[str, float],
        call_soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self.merged = MergedView(modes, detection_bounds)
        self._call_soon = call_soon
        # Reentrant, because a signal handler that stops the registry may interrupt a call of the same thread.
        self._lock = threading.RLock()
        self._watches: set[Watch] = set()
        self._closed = False
        self._sleeping_until = math.inf
        self._sleep: anyio.Event | None = None

    # -- for drivers ---------------------------------------------------------------------------------------------------

    def observe(self, mode: str, members: Sequence[Member]) -> None:
        """See `Sink.observe`."""
        self._change(lambda now: self.merged.observe(mode, members, now))

    def judging(self, mode: str, able: bool, reason: str) -> None:
        """See `Sink.judging`."""
        self._change(lambda now: self.merged.authoritative(mode, able, reason, now))

    def died(self, mode: str, reason: str) -> None:
        """The driver's run has ended with an error."""
        self._change(lambda now: self.merged.died(mode, reason, now))

    def _change(self, change: Callable[[float], list[MemberEvent]]) -> None:
        with self._lock:
            if self._closed:
                return
            events = change(time.monotonic())
            if events:
                for watch in self._watches:
                    watch.publish(events)
            deadline = self.merged.next_deadline()
            oversleeps = deadline is not None and deadline < self._sleeping_until
        if oversleeps:
            self._call_soon(self._wake)

    # -- time ----------------------------------------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """Do what is due when it is due, until cancelled."""
        while True:
            self._sleep = anyio.Event()
            with self._lock:
                deadline = self.merged.next_deadline()
                self._sleeping_until = math.inf if deadline is None else deadline
            with anyio.move_on_after(self._sleeping_until - time.monotonic()):
                await self._sleep.wait()
            self._change(self.merged.expire)

    def _wake(self) -> None:
        if self._sleep is not None:
            self._sleep.set()

    # -- for everybody else --------------------------------------------------------------------------------------------

    def reported(self, service: str) -> dict[str, int]:
        """How many members of `service` each driver has."""
        with self._lock:
            return self.merged.reported(service)

    def watch(self, service: str | None) -> Watch:
        """A new stream of changes."""
        watch = Watch(service, self._forget)
        with self._lock:
            self._watches.add(watch)
        return watch

    def _forget(self, watch: Watch) -> None:
        with self._lock:
            self._watches.discard(watch)

    def close(self) -> None:
        """Take no more reports, and end all streams."""
        with self._lock:
            self._closed = True
            watches, self._watches = self._watches, set()
        for watch in watches:
            watch.end()

    def abandon(self, error: Exception) -> None:
        """In a forked child, where no other thread is left that could hold a lock or report: streams raise `error`."""
        self._lock = threading.RLock()
        for watch in self._watches:
            watch.abandon(error)


class DriverSink:
    """What one run of a driver reports through; deaf to what its threads may still say when the run has ended.

    Until the run has `started`, what it says of its judgement is kept back: a restarted driver that has not connected
    yet must not count as able to judge.
    """

    def __init__(self, mode: str, view: SharedView) -> None:
        self._mode = mode
        self._view = view
        self._lock = threading.Lock()
        self._able, self._reason = True, ""
        self._started = self._ended = False

    def observe(self, members: Iterable[Member]) -> None:
        """See `Sink.observe`."""
        observed = list(members)
        with self._lock:
            if not self._ended:
                self._view.observe(self._mode, observed)

    def authoritative(self, yes: bool, reason: str = "") -> None:
        """See `Sink.authoritative`."""
        with self._lock:
            self._able, self._reason = yes, reason
            if self._started and not self._ended:
                self._view.judging(self._mode, yes, reason)

    judging = authoritative

    def started(self) -> None:
        """The run serves: its judgement counts from now on."""
        with self._lock:
            self._started = True
            self._view.judging(self._mode, self._able, self._reason)

    def ended(self, reason: str) -> None:
        """The run is over, and not because the registry stops."""
        with self._lock:
            self._ended = True
            self._view.died(self._mode, reason)
