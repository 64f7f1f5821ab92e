"""A second attempt beside one that waits: for whom, after what time, and how many."""

from __future__ import annotations

import logging
import random

import pytest
from support.http_members import InOrder

from pydoudou import CallPolicy, Hedging, Member
from pydoudou.balancers.calls.call import Call
from pydoudou.balancers.calls.hedging import HeadTimes
from pydoudou.balancers.calls.service import CalledService, ClientErrors
from pydoudou.balancers.reporting import Reporting
from pydoudou.drivers.members import Reached

A, B, C = (Member("orders", "10.0.0.1", port) for port in (1, 2, 3))
POLICY = CallPolicy(deadline=5.0, hedge=Hedging())


class Hedged:
    """A service of which a thousand answers began after 1 to 1000 ms each, and calls at time 100."""

    def __init__(self, *members: Member, policy: CallPolicy = POLICY, calls: int = 100, known: int = 1000) -> None:
        balancer = Reporting(InOrder(*(members or (A, B, C))))
        self.shared = balancer.calls
        times = [place / 1000 for place in range(1, known + 1)]
        random.Random(7).shuffle(times)
        for seconds in times:
            self.shared.head(seconds)
        for _ in range(calls):
            self.shared.began(100.0, CallPolicy())
        errors = ClientErrors(LookupError, TimeoutError, lambda error: Reached.BROKEN)
        log = logging.getLogger("pydoudou.tests")
        self.service = CalledService("orders", balancer, policy, errors, str, log, lambda _: None)

    def begin(self, method: str = "GET", replayable: bool = True) -> Call:
        call = self.service.call(method, "http://orders/", replayable, 100.0)
        self.first = self.service.first(call, None, 100.0)
        return call


@pytest.mark.parametrize(("share", "seconds"), [(0.5, 0.501), (0.95, 0.951), (0.999, 1.0)])
def test_the_time_is_that_within_which_the_share_of_the_latest_answers_began(share: float, seconds: float) -> None:
    hedged = Hedged(policy=POLICY.change(hedge=Hedging(quantile=share)))
    assert hedged.begin().hedge_after(100.0) == pytest.approx(seconds)
    assert hedged.begin().hedge_after(100.25) == pytest.approx(seconds - 0.25)


def test_only_the_latest_thousand_answers_count() -> None:
    times = HeadTimes()
    for seconds in [9.0] * 5000 + [0.1] * 1000:
        times.add(seconds)
    assert times.quantile(0.999, 100) == 0.1


@pytest.mark.parametrize(
    ("hedged", "method", "replayable"),
    [
        (Hedged(policy=CallPolicy()), "GET", True),
        (Hedged(known=99), "GET", True),
        (Hedged(policy=POLICY.change(deadline=0.9)), "GET", True),
        (Hedged(), "POST", True),
        (Hedged(), "PUT", False),
    ],
    ids=["not asked for", "too little known", "no time", "not idempotent", "not replayable"],
)
def test_other_calls_are_not_hedged(hedged: Hedged, method: str, replayable: bool) -> None:
    assert hedged.begin(method, replayable).hedge_after(100.0) is None


def test_a_call_is_hedged_once_with_a_member_that_was_not_tried() -> None:
    hedged = Hedged()
    call = hedged.begin()
    second = hedged.service.hedge(call, 100.951)
    assert second is not None
    assert (second.member, second.started, second.delay) == (B, 100.951, 0.0)
    assert second.answer_limit == pytest.approx(5.0 - 0.951)
    assert call.hedge_after(101.0) is None
    assert hedged.service.hedge(call, 101.0) is None
    assert hedged.shared.counters == {"hedges": 1}


def test_the_trail_tells_who_lost_and_who_answered() -> None:
    hedged = Hedged()
    call = hedged.begin()
    second = hedged.service.hedge(call, 101.0)
    assert second is not None
    assert hedged.service.answered(call, hedged.first, 200, {}.get, None, 101.5) is None
    hedged.service.lost(call, second, None, 101.5)
    assert [(attempt.member, attempt.left) for attempt in call.trail] == [
        (B, "the other attempt answered first"),
        (A, ""),
    ]


def test_one_that_fails_leaves_the_call_to_the_other() -> None:
    hedged = Hedged()
    call = hedged.begin()
    second = hedged.service.hedge(call, 101.0)
    assert second is not None
    hedged.service.lost(call, hedged.first, OSError(), 101.1)
    following = hedged.service.after(call, second, OSError(), 101.2)
    assert following is not None
    assert following.member == C
    assert [attempt.left for attempt in call.trail] == ["broken (OSError)", "broken (OSError)", ""]


@pytest.mark.parametrize(("calls", "second"), [(18, None), (19, B)], ids=["19 calls", "20 calls"])
def test_at_most_one_call_in_twenty_is_hedged(calls: int, second: Member | None) -> None:
    hedged = Hedged(calls=calls)
    pick = hedged.service.hedge(hedged.begin(), 101.0)
    assert (None if pick is None else pick.member) == second


def test_what_is_hedged_is_paid_from_the_retry_budget() -> None:
    hedged = Hedged(policy=POLICY.change(retry_ratio=0.0, retry_reserve=0.1))
    assert hedged.service.hedge(hedged.begin(), 101.0) is not None
    assert hedged.service.hedge(hedged.begin(), 101.0) is None


def test_where_there_is_nobody_else_nothing_is_hedged_and_nothing_paid() -> None:
    hedged = Hedged(A)
    before = hedged.shared.left(101.0, 0.0, 1.0)
    assert hedged.service.hedge(hedged.begin(), 101.0) is None
    assert hedged.shared.left(101.0, 0.0, 1.0) == before


def test_a_dry_run_counts_the_calls_that_it_would_have_hedged() -> None:
    hedged = Hedged(policy=POLICY.change(dry_run={"hedge"}))
    assert hedged.service.hedge(hedged.begin(), 101.0) is None
    assert hedged.shared.counters == {"dry_run_hedge": 1}


def test_answers_are_measured_only_where_calls_may_be_hedged() -> None:
    hedged = Hedged(known=0, policy=POLICY.change(hedge=Hedging(least_answers=1)))
    plain = Hedged(known=0, policy=CallPolicy())
    for one in (hedged, plain):
        call = one.begin()
        one.service.answered(call, one.first, 200, {}.get, None, 100.5)
    assert hedged.shared.head_quantile(0.95, 1) == 0.5
    assert plain.shared.head_quantile(0.95, 1) is None
