"""Whatever happens to calls, some things hold: thousands of calls with outcomes by chance, from printed seeds."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

import pytest
from support.http_members import GivenMembers

from pydoudou import CallPolicy, CircuitBreaker, Hedging, Member, RoundRobin
from pydoudou.balancers.calls.call import Call, DeadlineOver
from pydoudou.balancers.calls.policy import IDEMPOTENT_METHODS
from pydoudou.balancers.service_state import state_of
from pydoudou.drivers.errors import CircuitOpen
from pydoudou.drivers.members import Reached

LOG = logging.getLogger("pydoudou.tests")
STATUSES = [200, 200, 404, 429, 500, 502, 503, 503, 504]
HEADERS: list[dict[str, str]] = [
    *[{}] * 4,
    {"retry-after": "0"},
    {"retry-after": "2"},
    {"retry-after": "nonsense"},
    {"x-doudou-not-processed": "orders"},
]


def policy(chance: random.Random) -> CallPolicy:
    """One of the policies that there are."""
    deadline = chance.choice([None, 0.5, 3.0, 30.0])
    return CallPolicy(
        chance.randint(1, 5),
        deadline,
        attempt_timeout=chance.choice([None, 0.05, deadline]),
        retry_on=chance.choice([(), {503}, {500, 502, 503, 504}]),
        retry_ratio=chance.choice([0.0, 0.2, 1.0]),
        retry_reserve=chance.choice([0.0, 1.0, 100.0]),
        breaker=chance.choice([None, None, None, CircuitBreaker()]),
        retry_after_zero=chance.random() < 0.2,
        dry_run=chance.choice([(), (), (), {"budget", "breaker"}, {"retry_on"}, {"attempt_timeout"}]),
    )


class Watched:
    """A call whose steps are checked one by one."""

    def __init__(self, chance: random.Random, balancer: RoundRobin, now: float, given: CallPolicy) -> None:
        self.chance, self.policy, self.now, self.began = chance, given, now, now
        self.method = chance.choice(["GET", "PUT", "POST", "PATCH"])
        self.replayable = chance.random() < 0.8
        self.call = Call(given, balancer, self.method, "http://orders/", self.replayable, now, LOG)
        self.attempts, self.may_be_done = 1, False
        self.attempt: Any = self.call.first(now)
        self.tried = {self.attempt.member.key}
        self.unusable: set[Any] = set()

    def step(self) -> bool:
        """The next outcome; whether the call goes on."""
        chance, attempt = self.chance, self.attempt
        self.now = max(self.now, attempt.started) + chance.choice([0.0, 0.001, 0.05, 0.2, 2.0])
        kind = chance.choice([*Reached, Reached.ANSWERED, None])
        if kind is None:
            attempt.cancel()
            self.call.cancelled(self.now)
            return False
        repeatable = kind in (Reached.TIMED_OUT, Reached.REFUSED)
        if kind is Reached.ANSWERED:
            status, headers = chance.choice(STATUSES), chance.choice(HEADERS)
            if not attempt.answered(status, self.now):
                kind, repeatable = Reached.TIMED_OUT, True
                following = self.call.next(attempt, kind, TimeoutError(), self.now)
            else:
                following = self.call.answered(attempt, status, headers.get, self.now)
                if following is None:
                    attempt.ended(self.now + 0.01, chance.random() < 0.9)
                    return False
                assert status not in (200, 404, 429)
                proved = status == 503 and "x-doudou-not-processed" in headers
                zero = status == 503 and headers.get("retry-after") == "0" and self.policy.retry_after_zero
                assert proved or zero or status in self.policy.retry_on
                self.may_be_done |= not (proved or zero)
                repeatable = True
        else:
            following = self.call.next(attempt, kind, OSError(), self.now)
            self.may_be_done |= kind in (Reached.BROKEN, Reached.TIMED_OUT)
        if following is None:
            return False
        sent = kind is not Reached.UNCONNECTED
        assert self.replayable or not sent, "a body is never sent twice that cannot be"
        assert self.method in IDEMPOTENT_METHODS or not self.may_be_done, "nothing is done twice that must not be"
        (self.unusable.discard if repeatable else self.unusable.add)(attempt.member.key)
        self.follow(following)
        return True

    def follow(self, following: Any) -> None:
        """The rules of the attempt that follows."""
        self.attempts += 1
        assert self.attempts <= self.policy.attempts
        assert following.started == self.now + following.delay
        if self.policy.deadline is not None:
            assert following.started < self.began + self.policy.deadline
            assert following.answer_limit <= self.began + self.policy.deadline - following.started + 1e-9
        else:
            assert following.delay < 0.25
        if self.policy.attempt_timeout is not None and "attempt_timeout" not in self.policy.dry_run:
            assert following.answer_limit <= self.policy.attempt_timeout
            assert following.connect_limit <= self.policy.attempt_timeout
        assert following.connect_limit > 0
        if following.member.key in self.tried:
            assert following.member.key not in self.unusable
            assert len(self.tried) == 3, "who was not tried goes first"
        else:
            assert following.delay <= 0.025
        self.tried.add(following.member.key)
        self.attempt = following


@pytest.mark.parametrize("seed", range(20))
def test_calls_keep_to_the_rules_whatever_happens(seed: int) -> None:
    chance = random.Random(seed)
    registry = GivenMembers(*[Member("orders", "10.0.0.1", port) for port in (1, 2, 3)])
    balancer, now = RoundRobin("orders", registry, random=chance), 1000.0
    given, made = policy(chance), 0
    for _ in range(300):
        now += chance.choice([0.001, 0.05, 1.0])
        if chance.random() < 0.05:
            given = policy(chance)
        try:
            watched = Watched(chance, balancer, now, given)
        except (CircuitOpen, DeadlineOver):
            continue
        made += 1
        while watched.step():
            pass
        trail = watched.call.trail
        assert len(trail) == watched.attempts
        assert [bool(attempt.left) for attempt in trail[:-1]] == [True] * (len(trail) - 1)
    assert made > 30
    state = state_of(registry, "orders")
    assert [state.in_flight(member) for member in registry.snapshot("orders").members] == [0, 0, 0]


@pytest.mark.parametrize("loser", ["cancelled", "failed"])
@pytest.mark.parametrize("seed", range(5))
def test_hedged_calls_leave_nothing_in_flight_and_are_few(seed: int, loser: str) -> None:
    chance = random.Random(seed)
    registry = GivenMembers(*[Member("orders", "10.0.0.1", port) for port in (1, 2, 3)])
    balancer, now = RoundRobin("orders", registry, random=chance), 1000.0
    given = CallPolicy(hedge=Hedging(), retry_reserve=100.0)
    seconds: Callable[[], float] = lambda: chance.lognormvariate(-3.0, 0.5)  # noqa: E731
    calls, hedged = 3000, 0
    for _ in range(calls):
        now += 0.01
        call = Call(given, balancer, "GET", "http://orders/", True, now, LOG)
        attempt, took = call.first(now), seconds()
        after = call.hedge_after(now)
        second = None if after is None or after >= took else call.hedge(now + after)
        end = now + took
        if second is not None:
            hedged += 1
            reached, error = (None, None) if loser == "cancelled" else (Reached.BROKEN, OSError())
            call.lost(second, reached, error, end)
        assert attempt.answered(200, end)
        assert call.answered(attempt, 200, {}.get, end) is None
        attempt.ended(end, True)
    assert 0.02 * calls < hedged <= 0.05 * calls
    state = state_of(registry, "orders")
    assert [state.in_flight(member) for member in registry.snapshot("orders").members] == [0, 0, 0]
