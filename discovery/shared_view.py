"""The merged view between threads: drivers report from any of them, balancers read from any of them.

Changes take turns by a lock that is held for the computation alone; snapshots are read without it. Watchers are told
within the lock, so that all of them hear of all changes in one order.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence

import anyio

from ..drivers.members import Member
from .clock import Clock
from .merging.events import MemberEvent
from .merging.snapshot import Snapshot
from .merging.view import MergedView
from .watch import Watch

__all__ = ["SharedView"]


class SharedView:
    """A `MergedView` in time.

    Args:
        call_soon: makes the event loop on which `keep_time` runs call something; from any thread, without waiting.
        changed: is told of every change, without the lock, by the thread that reported it.
        status_changed: is called on that event loop when a driver's view begins to count, or ceases to, or when a
            driver says that its status is another.

    Attributes:
        snapshot: see `MergedView.snapshot`; from any thread, without the lock.
    """

    snapshot: Callable[[str], Snapshot]

    def __init__(
        self,
        modes: Sequence[str],
        clock: Clock,
        call_soon: Callable[[Callable[[], object]], None],
        changed: Callable[[list[MemberEvent]], None],
        status_changed: Callable[[], None],
    ) -> None:
        self._merged = MergedView(modes)
        self._clock = clock
        self._call_soon = call_soon
        self._changed = changed
        self._status_changed = status_changed
        # Reentrant, because a signal handler that stops the registry may interrupt a call of the same thread.
        self._lock = threading.RLock()
        self._watches: dict[Watch, Callable[[], object]] = {}
        self._closed = False
        self._sleeping_until = math.inf
        self._sleep: anyio.Event | None = None
        self.snapshot = self._merged.snapshot

    # -- for drivers ---------------------------------------------------------------------------------------------------

    def observe(self, mode: str, members: Sequence[Member]) -> None:
        """See `Sink.observe`."""
        self._change(lambda now: self._merged.observe(mode, members, now))

    def authoritative(self, mode: str, yes: bool, reason: str) -> None:
        """See `Sink.authoritative`."""
        before = self._merged.authority(mode)
        self._change(lambda now: self._merged.authoritative(mode, yes, reason, now))
        if self._merged.authority(mode) != before:
            self.status_changed()

    def status_changed(self) -> None:
        """See `Sink.changed`."""
        self._call_soon(self._status_changed)

    def died(self, mode: str, reason: str) -> None:
        """The driver's run has ended with an error."""
        self._change(lambda now: self._merged.died(mode, reason, now))

    def detects_within(self, mode: str, bound: float) -> None:
        """The driver needs so many seconds at most to notice that a member is gone."""
        self._change(lambda now: self._merged.detects_within(mode, bound, now))

    def _change(self, change: Callable[[float], list[MemberEvent]]) -> None:
        with self._lock:
            if self._closed:
                return
            events = change(self._clock.now())
            if events:
                for watch in self._watches:
                    watch.publish(events)
            deadline = self._merged.next_deadline()
            oversleeps = deadline is not None and deadline < self._sleeping_until
        if events:
            self._changed(events)
        if oversleeps:
            self._call_soon(self._wake)

    # -- time ----------------------------------------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """Do what is due when it is due, until cancelled."""
        while True:
            self._sleep = anyio.Event()
            with self._lock:
                deadline = self._merged.next_deadline()
                self._sleeping_until = math.inf if deadline is None else deadline
            with anyio.CancelScope(deadline=self._sleeping_until):
                await self._sleep.wait()
            self._change(self._merged.expire)

    def _wake(self) -> None:
        if self._sleep is not None:
            self._sleep.set()

    # -- for everybody else --------------------------------------------------------------------------------------------

    def snapshots(self) -> tuple[Snapshot, ...]:
        """See `MergedView.snapshots`; without the lock."""
        return self._merged.snapshots()

    def services(self) -> tuple[str, ...]:
        """See `MergedView.services`; without the lock."""
        return self._merged.services()

    def at_one_moment(self, modes: Iterable[str]) -> tuple[tuple[Snapshot, ...], dict[str, tuple[bool, str]]]:
        """See `MergedView.snapshots` and, by mode, `MergedView.authority`. Whoever reads one after the other may see a
        driver that does not count any more, and its members as if it did.
        """
        with self._lock:
            return self._merged.snapshots(), {mode: self._merged.authority(mode) for mode in modes}

    def authority(self, mode: str) -> tuple[bool, str]:
        """See `MergedView.authority`; without the lock."""
        return self._merged.authority(mode)

    def reported(self, service: str) -> dict[str, int]:
        """How many members of `service` each driver has."""
        with self._lock:
            return self._merged.reported(service)

    def watch(self, service: str | None, begin: Callable[[], Callable[[], object]]) -> Watch:
        """A new stream of changes.

        Args:
            begin: has the service reported; what it causes is not missed. What it returns is called once, when the
                reader closes the stream or the view is closed.
        """
        watch = Watch(service, self._forget)
        with self._lock:
            if not self._closed:
                self._watches[watch] = begin()
                return watch
        watch.end()
        return watch

    def _forget(self, watch: Watch) -> None:
        with self._lock:
            ended = self._watches.pop(watch, None)
        if ended is not None:
            ended()

    def close(self) -> None:
        """Take no more reports, and end all streams."""
        with self._lock:
            self._closed = True
            watches, self._watches = self._watches, {}
        for watch, ended in watches.items():
            watch.end()
            ended()

    def abandon(self, error: Exception) -> None:
        """In a forked child, where no other thread is left that could hold a lock or report: streams raise `error`."""
        self._lock = threading.RLock()
        for watch in self._watches:
            watch.abandon(error)
