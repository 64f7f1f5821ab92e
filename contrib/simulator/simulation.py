"""Callers, members and time: one run of a service under load, as fast as the machine can compute it.

What happens is a heap of events in virtual time. An attempt is two of them: it is sent, and it ends. How long an event
takes to compute plays no part, so a run shows what balancers and policies decide, and not what they cost.
"""

from __future__ import annotations

import heapq
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs

from ...balancers import LeastLatency, LeastPending, RoundRobin, SmoothWeighted, TableBalancer, WeightedRandom
from ...balancers.calls.call import Call
from ...balancers.calls.policy import CallPolicy
from ...balancers.calls.service import CalledService, ClientErrors
from ...balancers.memory.ejection import EJECTING_RULES
from ...balancers.memory.health import Health
from ...balancers.memory.pick import Pick
from ...balancers.memory.policy import HealthPolicy
from ...balancers.service_state import state_of
from ...drivers.members import Reached
from .chance import chance, exponential
from .faults import UNDISTURBED, Failure, Fault, fault_named
from .load import Load
from .members import SERVICE, SimulatedMember, SimulatedRegistry
from .pauses import Pauses
from .results import Row, percentile

__all__ = ["BALANCERS", "CALLERS_POLICY", "NO_EJECTION", "Simulation", "row", "simulate"]

BALANCERS: dict[str, type[TableBalancer[Any]]] = {
    balancer.__name__: balancer for balancer in (RoundRobin, WeightedRandom, SmoothWeighted, LeastPending, LeastLatency)
}
"""Those that can be simulated, by name."""

CALLERS_POLICY = CallPolicy(attempt_timeout=2.0)
"""The default policy, of a caller who waits for an answer for 2 s."""

NO_EJECTION = HealthPolicy(consecutive=None, success_ratio=None, slow_factor=None)
"""The rules that take members out are off; the others are as ever."""

_LOOK_EVERY = 0.1
"""Seconds after which it is seen again who is out."""

_EJECTED = {f"ejections_{rule}" for rule in EJECTING_RULES}
_URL = f"http://{SERVICE}/"
_LOG = logging.getLogger(__name__)
_Event = tuple[float, int, Callable[..., None], tuple[Any, ...]]


class _Failed(Exception):
    """An attempt failed; it takes the place of a client library's exceptions."""

    def __init__(self, reached: Reached | None = None) -> None:
        super().__init__(str(reached))
        self.reached = reached


def _failed(_message: str, *, request: object) -> _Failed:
    return _Failed()


def _reached(error: BaseException) -> Reached | None:
    return error.reached if isinstance(error, _Failed) else None


def _no_header(_name: str) -> None:
    """Simulated answers have no headers."""


@attrs.define
class _Calling:
    """A call that is under way, with its attempts that are: one, or two if it is hedged."""

    call: Call
    began: float
    counted: bool
    attempts: list[Pick] = attrs.field(factory=list)


class Simulation:
    """One balancer, one fault, one seed.

    Args:
        fault: what befalls the members.
        balancer: the name of one of `BALANCERS`.
        policy: of the callers.
        seed: the same one gives the same run, on every version of Python.

    Attributes:
        registry: in which the balancer finds the members.
        calls, errors, attempts: those that are counted (`Row` says which).
        seconds: from the start to the end of each call that is counted, in the order of their ends.
        by_member: attempts by the place of the member.
        longest_out: seconds that a member was out without a break, at the longest.
    """

    def __init__(self, fault: Fault, balancer: str, policy: CallPolicy, load: Load, seed: int) -> None:
        if balancer not in BALANCERS:
            raise ValueError(f"balancer is {balancer!r}; accepted: {', '.join(BALANCERS)}")
        self.load, self.fault = load, fault
        self.registry = SimulatedRegistry(load, chance(seed, "registry").random)
        work, luck, self._seed = chance(seed, "work"), chance(seed, "luck"), seed
        members = self.registry.snapshot(SERVICE).members
        self._members = {
            member.key: (place, SimulatedMember(load, fault.of(place), work, luck, self._pauses(place)))
            for place, member in enumerate(members)
        }
        self._service: CalledService[str] = CalledService(
            SERVICE,
            BALANCERS[balancer](SERVICE, self.registry, random=chance(seed, "balancer")),
            policy,
            ClientErrors(_failed, _failed, _reached),
            str,
            _LOG,
            lambda _members: None,
        )
        self._arrivals = chance(seed, "arrivals").random
        self._still = self._pauses(None)
        self._events: list[_Event] = []
        self._numbers = 0
        self.calls = self.errors = self.attempts = 0
        self.by_member: Counter[int] = Counter(dict.fromkeys(range(len(members)), 0))
        self.seconds: list[float] = []
        self._while_fault: Counter[int] = Counter()
        self._waiting: list[Pick] = []
        self._hedges = policy.hedge is not None
        self._out_since: dict[str, float] = {}
        self.longest_out = 0.0

    # -- time ----------------------------------------------------------------------------------------------------------

    def run(self, tick: Callable[[], None] = lambda: None) -> None:
        """Let the time go by; `tick` is called every virtual second of it."""
        self._at(0.0, self._arrive, 0.0)
        self._at(1.0, self._tick, tick)
        self._at(_LOOK_EVERY, self._look)
        for place in range(self.load.members):
            fault = self.fault.of(place)
            if fault is not None and fault.restarts:
                self._at(self.load.fault_from, self._restart, place)
        events, registry, still = self._events, self.registry, self._still
        while events:
            now, _, happen, about = heapq.heappop(events)
            if still is not None:
                now = still.goes_on(now)
            registry.now = now
            happen(now, *about)

    def _at(self, when: float, happen: Callable[..., None], *about: Any) -> None:
        self._numbers += 1  # events of the same moment happen in the order in which they were planned
        heapq.heappush(self._events, (when, self._numbers, happen, about))

    def _tick(self, now: float, tick: Callable[[], None]) -> None:
        tick()
        if now < self.load.seconds:
            self._at(now + 1.0, self._tick, tick)

    def _look(self, now: float) -> None:
        """See who is out."""
        ejections, since = self._health.ejections, self._out_since
        out = [record.member.address for record in ejections.out if record.member and ejections.is_out(record)]
        self._out_since = {address: since.get(address, now) for address in out}
        for began in self._out_since.values():
            self.longest_out = max(self.longest_out, now - began + _LOOK_EVERY)
        if now < self.load.seconds:
            self._at(now + _LOOK_EVERY, self._look)

    def _restart(self, _now: float, place: int) -> None:
        self.registry.restart(place)

    def _pauses(self, place: int | None) -> Pauses | None:
        """Those of the member at this place, or of the caller."""
        if self.fault.pauses is None:
            return None
        return Pauses(chance(self._seed, f"pauses {place}").random, *self.fault.pauses, self.load.seconds)

    # -- a caller ------------------------------------------------------------------------------------------------------

    def _arrive(self, now: float, due: float) -> None:
        following = due + exponential(self._arrivals, 1.0 / self.load.rate)
        if following < self.load.seconds:
            self._at(following, self._arrive, following)
        calling = _Calling(self._service.call("GET", _URL, True, now), due, due >= self.load.counted_from)
        try:
            attempt = self._service.first(calling.call, None, now)
        except _Failed:
            self._over(calling, now, failed=True)
        else:
            self._begin(calling, attempt, now)

    def _begin(self, calling: _Calling, attempt: Pick, now: float) -> None:
        if attempt.delay > 0.0:
            self._at(now + attempt.delay, self._send, calling, attempt)
        else:
            self._send(now, calling, attempt)

    def _send(self, now: float, calling: _Calling, attempt: Pick) -> None:
        place, member = self._members[attempt.member.key]
        if calling.counted:
            self.attempts += 1
            self.by_member[place] += 1
        if self.load.fault_from <= now < self.load.fault_until:
            self._while_fault[place] += 1
        calling.attempts.append(attempt)
        answer = member.receive(now)
        at, what = answer.at, answer.what
        if attempt.answer_limit is not None and at > now + attempt.answer_limit:
            at, what = now + attempt.answer_limit, Reached.TIMED_OUT
        if what is not Reached.TIMED_OUT or attempt.answer_limit is not None:
            self._at(at, self._end, calling, attempt, what)
        else:  # this caller waits for ever, and the attempt is in flight for as long
            self._waiting.append(attempt)
            self._over(calling, self.load.seconds, failed=True)
        if self._hedges:
            after = calling.call.hedge_after(now)
            if after is not None:
                self._at(now + max(0.0, after), self._hedge, calling, attempt)

    def _hedge(self, now: float, calling: _Calling, attempt: Pick) -> None:
        if calling.attempts == [attempt]:
            second = self._service.hedge(calling.call, now)
            if second is not None:
                self._begin(calling, second, now)

    def _end(self, now: float, calling: _Calling, attempt: Pick, what: Failure) -> None:
        service, call = self._service, calling.call
        if attempt not in calling.attempts:
            return  # the other one was answered first
        calling.attempts.remove(attempt)
        if calling.attempts:
            if isinstance(what, Reached):
                service.lost(call, attempt, _Failed(what), now)
                return
            service.lost(call, calling.attempts.pop(), None, now)
        try:
            if isinstance(what, Reached):
                following = service.after(call, attempt, _Failed(what), now)
            else:
                following = service.answered(call, attempt, what, _no_header, None, now)
        except _Failed:
            self._over(calling, now, failed=True)
            return
        if following is not None:
            self._begin(calling, following, now)
            return
        if isinstance(what, Reached):
            self._over(calling, now, failed=True)
        else:
            attempt.ended(now, True)
            self._over(calling, now, failed=what >= 500)

    def _over(self, calling: _Calling, now: float, *, failed: bool) -> None:
        if calling.counted:
            self.calls += 1
            self.errors += failed
            self.seconds.append(now - calling.began)

    # -- figures -------------------------------------------------------------------------------------------------------

    @property
    def ejections(self) -> int:
        """How often a member was taken out."""
        return sum(count for what, count in self._health.counts.items() if what in _EJECTED)

    @property
    def _health(self) -> Health:
        return state_of(self.registry, SERVICE).memory.health

    @property
    def p99(self) -> float:
        """Seconds that 99 of 100 calls took at most."""
        return percentile(sorted(self.seconds), 0.99)

    @property
    def fault_share(self) -> float:
        """Of the attempts that began while the fault was there, those at the first member."""
        return self._while_fault[0] / max(1, self._while_fault.total())

    @property
    def share_ratio(self) -> float:
        """The largest number of attempts at a member, by the smallest."""
        least = min(self.by_member.values())
        return max(self.by_member.values()) / least if least else float("inf")


def simulate(
    fault: str,
    balancer: str = "LeastLatency",
    policy: CallPolicy = CALLERS_POLICY,
    load: Load = Load(),  # noqa: B008 (immutable)
    seed: int = 1,
) -> Row:
    """What `balancer` does about `fault`, in figures.

    Raises:
        ValueError: there is no such fault or balancer; the message names those there are.
    """
    disturbed, calm = (Simulation(one, balancer, policy, load, seed) for one in (fault_named(fault), UNDISTURBED))
    for simulation in (disturbed, calm):
        simulation.run()
    return row(balancer, disturbed, calm)


def row(balancer: str, disturbed: Simulation, calm: Simulation) -> Row:
    """The figures of a run, compared with the same one without a fault. Both are over."""
    p99, undisturbed = disturbed.p99, calm.p99
    return Row(
        fault=disturbed.fault.name,
        balancer=balancer,
        calls=disturbed.calls,
        errors=disturbed.errors,
        attempts=disturbed.attempts,
        p99=p99,
        p99_ratio=p99 / undisturbed if undisturbed else 1.0,
        share_ratio=disturbed.share_ratio,
        fault_share=disturbed.fault_share,
        ejections=disturbed.ejections,
        longest_out=disturbed.longest_out,
    )
