"""What all balancers and clients of a process that read one registry share about a service.

The memory itself is pure (`balancers.memory`); its lock, its clock and its place in the process are here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary, ref

from ..drivers.members import Member, Outcome
from .memory.chain import Sharing
from .memory.health import Health
from .memory.member_record import MemberRecord
from .memory.pick import LATE_AFTER, Pick, PickedFrom, Told
from .memory.policy import HealthPolicy
from .memory.service_memory import ServiceMemory, Visit
from .shared_calls import SharedCalls
from .surroundings import Surroundings, surroundings_of

if TYPE_CHECKING:
    from ..discovery.merging.snapshot import Snapshot

__all__ = ["ServiceState", "state_if_any", "state_of", "states_of"]

T = TypeVar("T")

_WATCH_EVERY = 5.0
"""Seconds after which a thread that makes calls asks again whether this process has reason to doubt itself: half of the
time that its event loop is watched then.
"""

_MOST_WATCHED = 256
"""Threads that are remembered; when there are more, all ask anew."""

_MOST_SERVICES = 1024
"""Remembered per registry; the one that has been for the longest time is forgotten first."""


class ServiceState:
    """The memory of one service, for any thread.

    Args:
        registry: the one that knows the service, or another source of members; what it tells besides is in
            `Surroundings`. It is not held.

    Attributes:
        memory: what is remembered of its members.
        calls: what its calls share: the retry budget, the circuit breakers, and the counters of the rules.
        watched: until when the threads that make calls need not be looked after again, by their identity.
    """

    def __init__(self, registry: object | None = None) -> None:
        self._registry: Callable[[], object | None] = (lambda: None) if registry is None else ref(registry)
        self.memory = ServiceMemory(
            health=Health(self._around().random, self.doubt, lambda: self._around().callers()),
            round_trip=lambda member: self._around().round_trip(member),
            failed=self._failed,
        )
        self._shared: tuple[Snapshot, int, Sharing] | None = None
        self.calls = SharedCalls()
        # Reentrant: a signal handler that makes a call may interrupt one of the same thread.
        self._lock = threading.RLock()
        self._seen: Snapshot | None = None
        self.watched: dict[int, float] = {}

    def begin(self, member: Member, source: PickedFrom, now: float, how: str) -> Pick:
        """An attempt at `member`, which was picked from `source`.

        Args:
            now: by the clock of the registry.
            how: what chose the member, in a few words.
        """
        if self.watched.get(get_ident(), -inf) <= now:
            self._watch(now)
        with self._lock:
            if source.view is not self._seen and source.view is not None:
                self._see(source.view, now)
            record, pending = self.memory.begin(member, now)
        return Pick(member, source, record, pending, now, how)

    @property
    def health(self) -> HealthPolicy:
        """The rules by which members get calls, for all balancers and clients of the process. Can be set."""
        return self.memory.health.policy

    @health.setter
    def health(self, policy: HealthPolicy) -> None:
        if policy is not self.memory.health.policy and policy != self.memory.health.policy:
            now = self.now()
            with self._lock:
                self.memory.settle(now)  # of the time before the change, by the rules of that time
                self.memory.change_policy(policy, now)

    def share(self, snapshot: Snapshot) -> tuple[Sharing, int, float]:
        """Who of `snapshot` gets calls, and how many; the epoch that this is of, and when it may be otherwise."""
        now, memory = self.now(), self.memory
        with self._lock:
            self._see(snapshot, now)
            if now >= memory.due:
                memory.advance(now)
            known = self._shared
            if known is None or known[0] is not snapshot or known[1] != memory.epoch:
                known = self._shared = (snapshot, memory.epoch, memory.share(snapshot, now))
            return known[2], memory.epoch, memory.due

    def explain(self, make: Callable[[float, Sharing], T], snapshot: Snapshot) -> T:
        """What `make` makes of the memory, of this moment and who of `snapshot` gets calls, while nothing changes."""
        with self._lock:
            now = self.now()
            self.memory.settle(now)
            return make(now, self.share(snapshot)[0])

    def settle(self, now: float, told: Told | None = None) -> None:
        """Count what has ended, and tell of what nobody has been told of yet."""
        with self._lock:
            self.memory.settle(now)
            if told is None or not self.memory.untold:
                return
            untold, self.memory.untold = self.memory.untold, []
        for outcome in untold:
            told.attempt_ended(outcome.member.service, outcome)
            told.call_ended(outcome.member.service, outcome)

    def look(self, make: Callable[[float, ServiceMemory], T]) -> T:
        """What `make` makes of this moment and the memory, while nothing changes."""
        with self._lock:
            now = self.now()
            self.memory.settle(now)
            return make(now, self.memory)

    def advance(self, now: float) -> None:
        """What changes by time alone."""
        with self._lock:
            self.memory.advance(now)

    def visit(self, now: float, starved: bool) -> Visit | None:
        """Whom the next call is to go to whatever the balancer would choose (`ServiceMemory.visit`)."""
        with self._lock:
            return self.memory.visit(now, starved)

    def records(self, snapshot: Snapshot, members: Sequence[Member]) -> Sequence[MemberRecord]:
        """What is remembered of these members of `snapshot`, in their order."""
        now = self.now()
        with self._lock:
            self._see(snapshot, now)
            return self.memory.records(members, now)

    def in_flight(self, member: Member) -> int:
        """How many attempts at `member` have begun and not ended."""
        now = self.now()
        with self._lock:
            self.memory.settle(now)
            record = self.memory.record(member)
            return 0 if record is None else record.in_flight

    def now(self) -> float:
        """The present time by the clock of the registry."""
        return self._around().clock()

    def _see(self, snapshot: Snapshot, now: float) -> None:
        if snapshot is not self._seen:
            self.memory.settle(now)  # of the time before the change
            self._seen = snapshot
            self.memory.see(snapshot.members, now)

    def _failed(self, outcome: Outcome, late: float) -> None:
        """A call to a member got no connection or no answer in time, and ended so many seconds after its time: the
        backends may want to look after the member, or this process after itself.
        """
        around = self._around()
        if late > LATE_AFTER:
            around.note_lateness(late)
        elif not self.memory.health.reason_to_doubt(around.clock()):
            around.probe(outcome.member)

    def _watch(self, now: float) -> None:
        """Have the event loop of the calling thread watched while it makes calls, and that of the drivers: what says
        that a failure is this process's own has to be there before the first one.
        """
        if len(self.watched) >= _MOST_WATCHED:
            self.watched.clear()
        self.watched[get_ident()] = now + _WATCH_EVERY
        self.doubt()

    def doubt(self) -> str:
        """Why this process should not judge others; "" if it may."""
        return self._around().doubt()

    def _around(self) -> Surroundings:
        return surroundings_of(self._registry())


def state_of(registry: object, service: str) -> ServiceState:
    """The state of `service` as `registry` knows it; the same one for everybody in the process."""
    services = _states.setdefault(registry, OrderedDict())
    state = services.get(service) or services.setdefault(service, ServiceState(registry))
    if len(services) > _MOST_SERVICES:
        services.popitem(last=False)
    return state


def state_if_any(registry: object, service: str) -> ServiceState | None:
    """The state of `service` if there is one already."""
    return _states.get(registry, OrderedDict()).get(service)


def states_of(registry: object) -> dict[str, ServiceState]:
    """All states there are at present, by the names of the services."""
    return dict(_states.get(registry, OrderedDict()))


_states: WeakKeyDictionary[object, OrderedDict[str, ServiceState]] = WeakKeyDictionary()
