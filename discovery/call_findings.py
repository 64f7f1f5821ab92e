"""What calls and a registry tell each other: a member that does not answer, a program that is late, and who listens.

Balancers and clients use this on the way of every call: nothing of it takes a lock, waits or fails, be the registry
stopped or running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drivers.members import Member
from .observer import Observer, Observers

if TYPE_CHECKING:
    from .supervisor import Supervisor

__all__ = ["CallFindings"]


class CallFindings:
    """The part of a `Registry` that calls report to and ask.

    Attributes:
        observers: who is told what happens; for balancers and clients.
    """

    def __init__(self) -> None:
        self.observers = Observers()
        self._run: Supervisor | None = None

    def probe(self, member: Member) -> None:
        """A call to `member` got no connection or no answer: have the backends that can look whether it is still there.
        From any thread, as often as you like; nobody waits, and nothing is raised.
        """
        if (run := self._run) is not None:
            run.probing.probe(member)

    def round_trip(self, member: Member) -> float | None:
        """Seconds that `member` takes to answer the gossip's own pings, smoothed; None if that is not known."""
        return None if (run := self._run) is None else run.probing.round_trip(member)

    def doubt(self) -> str:
        """Why what this process finds out about others may be its own fault; "" if nothing speaks for it. Quick."""
        return "" if (run := self._run) is None else run.self_doubt.reason()

    def note_lateness(self, seconds: float) -> None:
        """A timer of the calling program fired so much too late: over a tenth of a second it is `doubt` for 10 s."""
        if (run := self._run) is not None:
            run.self_doubt.calling_late(seconds)

    def add_observer(self, observer: Observer) -> None:
        """Tell `observer` what happens from now on."""
        self.observers.add(observer)
        if (run := self._run) is not None:
            run.observe()

    def remove_observer(self, observer: Observer) -> None:
        """Tell it no more; does nothing if it was not told."""
        self.observers.remove(observer)
