"""The retry budget: a fifth of the calls and one per second, over ten seconds."""

from __future__ import annotations

import logging
import random

import pytest
from support.http_members import GivenMembers, InOrder

from pydoudou import CallPolicy, Member, RoundRobin, WeightedRandom
from pydoudou.balancers.calls.budget import MOST_LENT, RetryBudget
from pydoudou.balancers.calls.call import Call
from pydoudou.balancers.reporting import Reporting
from pydoudou.drivers.members import Reached


def begin(budget: RetryBudget, now: float) -> None:
    """A call begins."""
    budget.turn_to(now)
    budget.calls += 1


def spent(budget: RetryBudget, now: float, ratio: float = 0.2, reserve: float = 1.0) -> int:
    """How many retries are allowed at this moment."""
    count = 0
    while budget.withdraw(now, ratio, reserve):
        count += 1
    return count


@pytest.mark.parametrize(
    ("calls", "ratio", "reserve", "allowed"),
    [(0, 0.2, 1.0, 10), (5, 0.2, 1.0, 11), (100, 0.2, 1.0, 30), (100, 0.2, 0, 20), (4, 0.2, 0, 0), (9, 1.0, 0.0, 9)],
)
def test_calls_and_seconds_allow_retries(calls: int, ratio: float, reserve: float, allowed: int) -> None:
    budget = RetryBudget()
    for _ in range(calls):
        begin(budget, 100.0)
    assert budget.left(100.0, ratio, reserve) == pytest.approx(ratio * calls + 10 * reserve)
    assert spent(budget, 100.0, ratio, reserve) == allowed


def test_what_is_older_than_ten_seconds_counts_no_more() -> None:
    budget = RetryBudget()
    for _ in range(100):
        begin(budget, 100.0)
    assert spent(budget, 100.5) == 30
    assert spent(budget, 109.9) == 0
    assert spent(budget, 110.0) == 10
    assert spent(budget, 1e6) == 10


def test_a_retry_that_was_not_made_is_given_back() -> None:
    budget = RetryBudget()
    assert spent(budget, 100.0) == 10
    budget.give_back()
    assert spent(budget, 100.0) == 1


def test_three_moves_at_a_time_are_lent_while_others_are_answered() -> None:
    budget = RetryBudget()
    assert not budget.lend(100.0)
    for _ in range(5):
        budget.answered(100.0)
    assert [budget.lend(100.0 + place / 8) for place in range(4)] == [True, True, True, False]
    budget.settle(100.125)
    budget.settle(100.125)
    assert budget.lend(100.5)
    assert not budget.lend(100.5)
    for begun in (100.0, 100.25, 100.5):
        budget.settle(begun)
    assert [budget.lend(101.0) for _ in range(2)] == [True, False], "no more of them than answers"
    assert MOST_LENT == 3


def test_answers_are_counted_only_while_somebody_asks_for_retries() -> None:
    budget = RetryBudget()
    begin(budget, 100.0)
    assert not budget.watching
    budget.withdraw(100.5, 0.0, 0.0)
    assert budget.watching
    for now in (101.0, 109.9):
        begin(budget, now)
        assert budget.watching
    begin(budget, 110.0)
    assert not budget.watching


def test_a_lent_move_of_which_nobody_hears_again_is_forgotten() -> None:
    budget = RetryBudget()
    for second in (100.0, 112.0):
        for _ in range(10):
            budget.answered(second)
        assert [budget.lend(second) for _ in range(4)] == [True, True, True, False]


def test_a_thread_that_was_held_up_for_a_minute_undoes_nothing() -> None:
    budget = RetryBudget()
    begin(budget, 160.0)
    begin(budget, 100.0)
    assert budget.left(160.0, 1.0, 0.0) == 2


def test_all_clients_of_a_service_share_its_budget_and_a_balancer_of_somebody_elses_has_its_own() -> None:
    registry = GivenMembers(*[Member("orders", "10.0.0.1", port) for port in (1, 2)])
    balancers = [RoundRobin("orders", registry), WeightedRandom("orders", registry)]
    others = [RoundRobin("orders", GivenMembers(Member("orders", "10.0.0.1", 1))), Reporting(InOrder())]
    policy, log = CallPolicy(retry_ratio=0.0, retry_reserve=0.1), logging.getLogger("pydoudou.tests")
    calls = [Call(policy, balancer, "GET", "http://orders/", True, 1000.0, log) for balancer in balancers]
    firsts = [call.first(1000.0) for call in calls]
    following = [call.next(first, Reached.BROKEN, OSError(), 1000.0) for call, first in zip(calls, firsts, strict=True)]
    assert [pick is not None for pick in following] == [True, False]
    assert balancers[0].calls is balancers[1].calls
    assert balancers[0].counters == {"moves": 1, "budget_refused": 1}
    assert len({id(balancer.calls) for balancer in (balancers[0], *others)}) == 3


@pytest.mark.parametrize("rate", [20, 200])
@pytest.mark.parametrize("reached", [Reached.UNCONNECTED, Reached.REFUSED, Reached.BROKEN, Reached.ANSWERED])
@pytest.mark.parametrize("seed", range(2))
def test_when_everybody_fails_attempts_per_call_stay_bounded(rate: int, reached: Reached, seed: int) -> None:
    chance = random.Random(seed)
    members = [Member("orders", "10.0.0.1", port) for port in range(1, 6)]
    balancer = Reporting(InOrder(*members), chance)
    log, attempts, begun = logging.getLogger("pydoudou.tests"), 0, chance.random() + 1000
    calls = [begun + 60 * place / (60 * rate) for place in range(60 * rate)]
    for now in calls:
        call = Call(CallPolicy(), balancer, "GET", "http://orders/", True, now, log)
        attempt, following = call.first(now), None
        while True:
            attempts += 1
            if reached is Reached.ANSWERED:
                assert attempt.answered(503, now + 0.001)
                following = call.answered(attempt, 503, {}.get, now + 0.001)
            else:
                following = call.next(attempt, reached, OSError(), now + 0.001)
            if following is None:
                break
            attempt = following
    assert 1.1 < attempts / len(calls) <= 1 + 0.2 + 1 / rate + 0.01
