"""What all balancers and clients of a process that read one registry share about a service.

The memory itself is pure (`balancers.memory`); its lock, its clock and its place in the process are here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ..drivers.members import Member
from .memory.pick import Pick
from .memory.service_memory import ServiceMemory
from .shared_calls import SharedCalls

if TYPE_CHECKING:
    from ..discovery.merging.snapshot import Snapshot
    from ..discovery.observer import Observers

__all__ = ["ServiceState", "state_of"]

_MOST_SERVICES = 1024
"""Remembered per registry; the one that has been for the longest time is forgotten first."""


class ServiceState:
    """The memory of one service, for any thread.

    Attributes:
        memory: what is remembered of its members.
        calls: what its calls share: the retry budget, the circuit breakers, and the counters of the rules.
    """

    def __init__(self) -> None:
        self.memory = ServiceMemory()
        self.calls = SharedCalls()
        # Reentrant: a signal handler that makes a call may interrupt one of the same thread.
        self._lock = threading.RLock()
        self._seen: Snapshot | None = None

    def begin(self, member: Member, snapshot: Snapshot, eligible: Sequence[Member], observers: Observers) -> Pick:
        """An attempt at `member`, which was picked from `snapshot`, where these were eligible."""
        memory = self.memory
        with self._lock:
            now = monotonic()
            untold = memory.settle()
            if snapshot is not self._seen:
                self._seen = snapshot
                memory.see(snapshot.members, now)
            record = memory.begin(member, now)
        for outcome in untold:
            observers.call_ended(outcome.member.service, outcome)
        told = observers if observers.listening else None
        return Pick(member, snapshot, eligible, record, memory.ended, told, now)

    def in_flight(self, member: Member) -> int:
        """How many attempts at `member` have begun and not ended."""
        with self._lock:
            self.memory.settle()
            record = self.memory.record(member)
            return 0 if record is None else record.in_flight


def state_of(registry: object, service: str) -> ServiceState:
    """The state of `service` as `registry` knows it; the same one for everybody in the process."""
    services = _states.setdefault(registry, OrderedDict())
    state = services.setdefault(service, ServiceState())
    if len(services) > _MOST_SERVICES:
        services.popitem(last=False)
    return state


_states: WeakKeyDictionary[object, OrderedDict[str, ServiceState]] = WeakKeyDictionary()
