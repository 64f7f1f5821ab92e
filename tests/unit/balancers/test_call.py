"""The rules of moving on, as plain values: no client, no socket, no clock."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from typing import Any

import attrs
import pytest
from support.http_members import InOrder

from pydoudou import Member
from pydoudou.balancers import TableBalancer
from pydoudou.balancers.calls.call import Call, DeadlineOver
from pydoudou.balancers.calls.policy import CONNECT_BUDGET, IDEMPOTENT_METHODS, CallPolicy, shorter
from pydoudou.balancers.memory.pick import Pick
from pydoudou.balancers.reporting import Reporting
from pydoudou.drivers.members import Reached

A, B, C = (Member("orders", "10.0.0.1", port) for port in (1, 2, 3))
REFUSED = ConnectionRefusedError(111, "Connection refused")


class At:
    """Chance that always says the same."""

    def __init__(self, chance: float) -> None:
        self.chance = chance

    def random(self) -> float:
        return self.chance

    def getrandbits(self, k: int, /) -> int:
        return 0


class Trying:
    """A call at time 100 and its present attempt."""

    def __init__(
        self,
        policy: CallPolicy | None = None,
        *,
        method: str = "GET",
        replayable: bool = True,
        balancer: Any = None,
        now: float = 100.0,
        chance: float = 0.0,
    ) -> None:
        given = balancer or InOrder(A, B, C)
        log = logging.getLogger("pydoudou.tests")
        self.balancer = given if isinstance(given, TableBalancer) else Reporting(given, At(chance))
        self.call = Call(policy or CallPolicy(), self.balancer, method, "http://orders/a", replayable, 100.0, log)
        self.attempt: Pick = self.call.first(now)

    def next(self, reached: Reached, now: float = 100.0, error: Exception = REFUSED) -> Member | None:
        following = self.call.next(self.attempt, reached, error, now)
        if following is None:
            return None
        self.attempt = following
        return following.member


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("replayable", [True, False])
def test_what_was_not_sent_moves_on_always(method: str, replayable: bool) -> None:
    assert Trying(method=method, replayable=replayable).next(Reached.UNCONNECTED) == B


@pytest.mark.parametrize("method", sorted(IDEMPOTENT_METHODS))
def test_what_was_not_answered_moves_on_if_it_may_happen_twice(method: str) -> None:
    assert Trying(method=method).next(Reached.BROKEN) == B


@pytest.mark.parametrize("method", ["POST", "PATCH", "CONNECT", "PURGE"])
def test_what_was_not_answered_stays_if_it_must_not_happen_twice(method: str) -> None:
    assert Trying(method=method).next(Reached.BROKEN) is None


def test_what_was_not_answered_stays_if_its_body_is_spent() -> None:
    assert Trying(method="PUT", replayable=False).next(Reached.BROKEN) is None


def test_a_timeout_stays() -> None:
    assert Trying().next(Reached.TIMED_OUT) is None


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_the_member_proves_it_did_not_act_on_moves_on(method: str) -> None:
    assert Trying(method=method).next(Reached.REFUSED) == B


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_refused_when_a_part_of_its_body_may_be_gone_stays(method: str) -> None:
    assert Trying(method=method, replayable=False).next(Reached.REFUSED) is None


def test_each_member_is_tried_once_until_nobody_is_left() -> None:
    trying = Trying(CallPolicy(attempts=9))
    assert [trying.next(Reached.UNCONNECTED) for _ in range(3)] == [B, C, None]


def test_attempts_bound_the_members_that_are_tried() -> None:
    trying = Trying(CallPolicy(attempts=2))
    assert [trying.next(Reached.UNCONNECTED) for _ in range(2)] == [B, None]


def test_no_attempt_starts_after_the_deadline() -> None:
    assert Trying(CallPolicy(deadline=5.0)).next(Reached.UNCONNECTED, 105.0) is None


def test_without_a_deadline_no_attempt_starts_after_the_time_for_connecting() -> None:
    assert Trying().next(Reached.UNCONNECTED, 100.0 + CONNECT_BUDGET) is None


def test_a_balancer_that_repeats_a_member_ends_the_call() -> None:
    class Stubborn:
        def pick(self, exclude: Collection[Member] = ()) -> Member:
            return attrs.evolve(A, weight=7.0) if exclude else A

        def members(self) -> tuple[Member, ...]:
            return (A,)

    assert Trying(balancer=Stubborn()).next(Reached.UNCONNECTED) is None


def test_connecting_gets_an_equal_share_of_what_is_left() -> None:
    trying = Trying(CallPolicy(attempts=3, deadline=6.0))
    assert trying.attempt.connect_limit == 2.0
    trying.next(Reached.UNCONNECTED, 102.0)
    assert trying.attempt.connect_limit == 2.0
    trying.next(Reached.UNCONNECTED, 102.5)
    assert trying.attempt.connect_limit == 3.5


@pytest.mark.parametrize(("members", "share"), [((A,), 6.0), ((A, B), 3.0), ((A, B, C), 2.0)])
def test_connecting_shares_the_time_among_members_that_exist(members: tuple[Member, ...], share: float) -> None:
    assert Trying(CallPolicy(attempts=3, deadline=6.0), balancer=InOrder(*members)).attempt.connect_limit == share


def test_the_last_member_that_is_left_has_all_of_the_rest() -> None:
    trying = Trying(CallPolicy(attempts=5, deadline=6.0), balancer=InOrder(A, B))
    trying.next(Reached.UNCONNECTED, 103.0)
    assert trying.attempt.connect_limit == 3.0


def test_the_answer_may_take_what_is_left_of_the_deadline() -> None:
    trying = Trying(CallPolicy(deadline=6.0))
    trying.next(Reached.UNCONNECTED, 102.0)
    assert trying.attempt.answer_limit == 4.0


def test_without_a_deadline_the_answer_may_take_any_time() -> None:
    assert Trying().attempt.answer_limit is None


@pytest.mark.parametrize("now", [105.0, 105.1, 1e9])
def test_no_first_attempt_starts_after_the_deadline(now: float) -> None:
    with pytest.raises(DeadlineOver, match=r"the deadline of 5\.0 s was over"):
        Trying(CallPolicy(deadline=5.0), now=now)


def test_a_move_is_told_without_the_secrets_of_the_error(caplog: pytest.LogCaptureFixture) -> None:
    error = RuntimeError("GET /a?token=SECRET")
    error.__cause__ = REFUSED
    with caplog.at_level(logging.INFO):
        Trying().next(Reached.UNCONNECTED, error=error)
    assert [record.getMessage() for record in caplog.records] == [
        "GET http://orders/a: 10.0.0.1:1 unconnected (RuntimeError: Connection refused), trying 10.0.0.1:2"
    ]


def test_an_error_without_a_reason_of_the_system_is_told_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Trying().next(Reached.BROKEN, error=ValueError("SECRET"))
    assert "broken (ValueError), trying" in caplog.text
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize("attempts", [0, -1, 2.5, "3", True])
def test_attempts_that_cannot_work_are_refused(attempts: Any) -> None:
    with pytest.raises(ValueError, match=f"attempts is {attempts!r}; accepted: a whole number from 1"):
        CallPolicy(attempts=attempts)


@pytest.mark.parametrize("deadline", [0.0, -1.0, math.inf, math.nan, "2", True])
def test_a_deadline_that_is_no_time_is_refused(deadline: Any) -> None:
    with pytest.raises(ValueError, match=r"deadline is .*; accepted: seconds greater than 0, or None"):
        CallPolicy(deadline=deadline)


@pytest.mark.parametrize(
    ("asked", "limit", "expected"), [(None, None, None), (None, 1.0, 1.0), (2.0, None, 2.0), (2.0, 1.0, 1.0), (1, 2, 1)]
)
def test_the_shorter_of_two_timeouts_holds(asked: float | None, limit: float | None, expected: float | None) -> None:
    assert shorter(asked, limit) == expected
