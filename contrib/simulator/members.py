"""A service in virtual time: what its members do with an attempt, and the registry in which they are found."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import attrs

from ...balancers.surroundings import Surroundings
from ...discovery.merging.snapshot import Snapshot
from ...drivers.members import Member, Reached
from .chance import log_normal
from .faults import Failure, Fault
from .load import Load
from .pauses import Pauses

__all__ = ["SERVICE", "Answer", "SimulatedMember", "SimulatedRegistry"]

SERVICE = "orders"

_AT_ONCE = 0.001
"""Seconds in which a member fails that does no work: a round trip."""

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
"""When a simulation begins, for what is told as a date."""


@attrs.frozen
class Answer:
    """How an attempt ends if the caller waits: when, and a status or how far it got."""

    at: float
    what: Failure


class SimulatedMember:
    """The workers of one member, and its queue.

    A member does what it was sent, although the caller may have given up: over HTTP/1.1 it hears of that when it
    answers. When a call will be done is therefore known when it comes, and no event is needed in between.

    Args:
        fault: what befalls it; None for a member that is spared.
        work: draws how long a piece of work takes.
        luck: draws which attempts fail.
        pauses: when it stands still; None for never.
    """

    def __init__(
        self, load: Load, fault: Fault | None, work: Random, luck: Random, pauses: Pauses | None = None
    ) -> None:
        self._load, self._fault, self._work, self._luck = load, fault, work.random, luck.random
        self._pauses = pauses
        # When each worker is free; a heap.
        self._free = [0.0] * load.workers

    def receive(self, now: float) -> Answer:
        """An attempt comes in."""
        load, fault = self._load, self._fault
        # Drawn for attempts that fail too: what others have to do shall not depend on it.
        work = log_normal(self._work, load.work, load.spread)
        if fault is not None and fault.failing and self._disturbed(now):
            draw = self._luck()
            if draw < fault.failing:
                what = fault.failures[int(draw / fault.failing * len(fault.failures))]
                return Answer(math.inf if what is Reached.TIMED_OUT else now + _AT_ONCE, what)
        begins = max(now, self._free[0])
        if fault is not None and self._disturbed(begins):
            work *= fault.slowdown(begins - load.fault_from)
        done = begins + work if self._pauses is None else self._pauses.done(begins, work)
        heapq.heapreplace(self._free, done)
        return Answer(done, 200)

    def _disturbed(self, now: float) -> bool:
        """Whether the fault is there."""
        load, fault = self._load, self._fault
        if fault is not None and fault.early:
            return now < load.fault_from
        return (fault is not None and fault.everybody) or load.fault_from <= now < load.fault_until


class SimulatedRegistry(Surroundings):
    """A registry for balancers, which has a clock and chance of its own: what balancers and what they remember would
    ask the system for, if it had not.

    Args:
        random: draws from 0 to below 1.

    Attributes:
        now: the present, set by the simulation.
    """

    def __init__(self, load: Load, random: Callable[[], float]) -> None:
        self.now, self.random = 0.0, random
        members = [
            Member(SERVICE, f"10.0.{place // 250}.{place % 250 + 1}", 8080, registered_at=_BEGAN)
            for place in range(load.members)
        ]
        self._snapshot = Snapshot(SERVICE, tuple(members), tuple(members))
        self._other = Snapshot("")

    def clock(self) -> float:
        """The present."""
        return self.now

    def snapshot(self, service: str, /) -> Snapshot:
        """The members of the one service there is."""
        return self._snapshot if service == SERVICE else self._other

    def explain(self, service: str) -> str:
        """What is known about a service, in one line."""
        return f"{len(self.snapshot(service).members)} simulated members of {service!r}"

    def restart(self, place: int) -> None:
        """The member at this place registers anew, now."""
        members = self._snapshot.members
        anew = attrs.evolve(members[place], registered_at=_BEGAN + timedelta(seconds=self.now))
        members = (*members[:place], anew, *members[place + 1 :])
        self._snapshot = Snapshot(SERVICE, members, members)
