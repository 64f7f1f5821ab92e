"""The rules of moving on, as plain values: no client, no socket, no clock."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import attrs
import pytest
from support.http_members import InOrder

from pydoudou import Member
from pydoudou.balancers.calls.call import CONNECT_BUDGET, IDEMPOTENT_METHODS, Call, Failure, Policy, shorter

A, B, C = (Member("orders", "10.0.0.1", port) for port in (1, 2, 3))


def call(policy: Policy | None = None, *, method: str = "GET", replayable: bool = True, picker: Any = None) -> Call:
    """A call at time 100 that has picked its first member."""
    made = Call(policy or Policy(), picker or InOrder(A, B, C), method, replayable, 100.0)
    made.first()
    return made


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("replayable", [True, False])
def test_what_was_not_sent_moves_on_always(method: str, replayable: bool) -> None:
    assert call(method=method, replayable=replayable).next(Failure.UNSENT, 100.0) == B


@pytest.mark.parametrize("method", sorted(IDEMPOTENT_METHODS))
def test_what_was_not_answered_moves_on_if_it_may_happen_twice(method: str) -> None:
    assert call(method=method).next(Failure.UNANSWERED, 100.0) == B


@pytest.mark.parametrize("method", ["POST", "PATCH", "CONNECT", "PURGE"])
def test_what_was_not_answered_stays_if_it_must_not_happen_twice(method: str) -> None:
    assert call(method=method).next(Failure.UNANSWERED, 100.0) is None


def test_what_was_not_answered_stays_if_its_body_is_spent() -> None:
    assert call(method="PUT", replayable=False).next(Failure.UNANSWERED, 100.0) is None


def test_a_final_failure_stays() -> None:
    assert call().next(Failure.FINAL, 100.0) is None


def test_each_member_is_tried_once_until_nobody_is_left() -> None:
    trying = call(Policy(attempts=9))
    assert [trying.next(Failure.UNSENT, 100.0) for _ in range(3)] == [B, C, None]


def test_attempts_bound_the_members_that_are_tried() -> None:
    trying = call(Policy(attempts=2))
    assert [trying.next(Failure.UNSENT, 100.0) for _ in range(2)] == [B, None]


def test_no_attempt_starts_after_the_deadline() -> None:
    assert call(Policy(deadline=5.0)).next(Failure.UNSENT, 105.0) is None


def test_without_a_deadline_no_attempt_starts_after_the_time_for_connecting() -> None:
    assert call().next(Failure.UNSENT, 100.0 + CONNECT_BUDGET) is None


def test_a_balancer_that_repeats_a_member_ends_the_call() -> None:
    class Stubborn:
        def pick(self, exclude: Collection[Member] = ()) -> Member:
            return attrs.evolve(A, weight=7.0) if exclude else A

        def members(self) -> tuple[Member, ...]:
            return (A,)

    assert call(picker=Stubborn()).next(Failure.UNSENT, 100.0) is None


def test_connecting_gets_an_equal_share_of_what_is_left() -> None:
    trying = call(Policy(attempts=3, deadline=6.0))
    assert trying.connect_limit(100.0) == 2.0
    trying.next(Failure.UNSENT, 102.0)
    assert trying.connect_limit(102.0) == 2.0
    trying.next(Failure.UNSENT, 102.5)
    assert trying.connect_limit(102.5) == 3.5


def test_the_answer_may_take_what_is_left_of_the_deadline() -> None:
    assert call(Policy(deadline=6.0)).answer_limit(102.0) == 4.0


def test_without_a_deadline_the_answer_may_take_any_time() -> None:
    assert call().answer_limit(102.0) is None


@pytest.mark.parametrize("attempts", [0, -1])
def test_attempts_below_one_are_refused(attempts: int) -> None:
    with pytest.raises(ValueError, match=f"attempts is {attempts}; accepted: a whole number from 1"):
        Policy(attempts=attempts)


@pytest.mark.parametrize("deadline", [0.0, -1.0, math.inf, math.nan])
def test_a_deadline_that_is_no_time_is_refused(deadline: float) -> None:
    with pytest.raises(ValueError, match=r"deadline is .*; accepted: seconds greater than 0, or None"):
        Policy(deadline=deadline)


@pytest.mark.parametrize(
    ("asked", "limit", "expected"), [(None, None, None), (None, 1.0, 1.0), (2.0, None, 2.0), (2.0, 1.0, 1.0), (1, 2, 1)]
)
def test_the_shorter_of_two_timeouts_holds(asked: float | None, limit: float | None, expected: float | None) -> None:
    assert shorter(asked, limit) == expected
