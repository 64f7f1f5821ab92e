"""What a driver reports through."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator

from ..drivers.kit.refusals import Refusals
from ..drivers.kit.validation import Unusable, checked
from ..drivers.members import Member
from .shared_view import SharedView

__all__ = ["DriverSink"]

logger = logging.getLogger(__name__)


class DriverSink:
    """The `Sink` of one run of a driver; ignores reports that arrive after the run has ended.

    Until the run has `started`, what it says of its authority is kept back: a restarted driver that has not connected
    yet must not count as authoritative.

    Args:
        check: whether the members are yet to be checked: the driver has not made them with the kit.
    """

    def __init__(self, mode: str, view: SharedView, *, check: bool = True) -> None:
        self._mode = mode
        self._check = check
        self._refusals = Refusals(logger)
        self._view = view
        # Reentrant, because a signal handler that stops the registry may interrupt a report of the same thread.
        self._lock = threading.RLock()
        self._authoritative, self._reason = True, ""
        self._started = self._ended = False

    def observe(self, members: Iterable[Member]) -> None:
        """See `Sink.observe`."""
        observed = list(self._usable(members) if self._check else members)
        with self._lock:
            if not self._ended:
                self._view.observe(self._mode, observed)

    def _usable(self, members: Iterable[Member]) -> Iterator[Member]:
        for member in members:
            try:
                yield checked(member)
            except Unusable as unusable:
                self._refusals.note(self._mode, unusable)

    def authoritative(self, yes: bool, reason: str = "") -> None:
        """See `Sink.authoritative`."""
        with self._lock:
            self._authoritative, self._reason = bool(yes), str(reason)
            if self._started and not self._ended:
                self._view.authoritative(self._mode, self._authoritative, self._reason)

    judging = authoritative

    def changed(self) -> None:
        """See `Sink.changed`."""
        with self._lock:
            if self._started and not self._ended:
                self._view.status_changed()

    def started(self) -> None:
        """The run serves: what it says of its authority counts from now on."""
        with self._lock:
            self._started = True
            self._view.authoritative(self._mode, self._authoritative, self._reason)

    def ended(self, reason: str) -> None:
        """The run is over, and not because the registry stops."""
        with self._lock:
            self._ended = True
            self._view.died(self._mode, reason)
