"""What a policy accepts, says about what it does not, and whose policy a call follows."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import math
from typing import Any

import pytest
from support.http_members import InOrder

import pydoudou
from pydoudou import CallPolicy, CircuitBreaker, HealthPolicy, Hedging, Member
from pydoudou.balancers.calls import watching
from pydoudou.balancers.calls.service import CalledService, ClientErrors
from pydoudou.balancers.reporting import reporting
from pydoudou.drivers.members import Reached

TIMES = "seconds greater than 0, or None"
NUMBER = "a number from 0"
BAD: list[tuple[str, Any, str]] = [
    *[("attempts", value, "a whole number from 1") for value in (0, -1, 2.5, "3", True)],
    *[("deadline", value, TIMES) for value in (0, -1, math.inf, math.nan, "2", True)],
    *[("attempt_timeout", value, TIMES) for value in (0, -0.5, math.inf, "1", False)],
    *[("retry_on", value, "a set of statuses from 400 to 599") for value in (503, {200}, {429}, {"503"}, {600}, None)],
    *[("idempotent_methods", value, "a set of methods") for value in ("POST", {b"POST"}, {""}, {"GET POST"}, None)],
    *[("retry_ratio", value, NUMBER) for value in (-0.1, math.nan, math.inf, "0.2")],
    *[("retry_reserve", value, NUMBER) for value in (-1, math.inf, None)],
    ("breaker", True, "a CircuitBreaker, or None"),
    ("hedge", 0.95, "a Hedging, or None"),
    ("retry_after_zero", 1, "True or False"),
    *[("dry_run", value, "a set of attempt_timeout, breaker, ") for value in ("budget", {"nothing"}, True)],
]


@pytest.mark.parametrize(("name", "value", "accepted"), BAD, ids=[f"{name}-{value!r}" for name, value, _ in BAD])
def test_a_policy_that_cannot_work_is_refused_when_it_is_made(name: str, value: Any, accepted: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is .*; accepted: ") as caught:
        CallPolicy(**{name: value})
    assert f"accepted: {accepted}" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"deadline": 1.0, "attempt_timeout": 2.0}, r"deadline is 1\.0; accepted: at least the attempt_timeout"),
        ({"attempts": 1, "hedge": Hedging()}, r"hedge is .*; accepted: None when attempts is 1"),
    ],
    ids=["deadline", "hedge"],
)
def test_two_arguments_that_cannot_work_together_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CallPolicy(**fields)


SETTINGS: list[tuple[type, str, Any, str]] = [
    *[(CircuitBreaker, "failure_ratio", value, "a number greater than 0 to 1") for value in (0, 1.1, "1")],
    (CircuitBreaker, "least_calls", 0, "a whole number from 1"),
    (CircuitBreaker, "window", 2.5, "a whole number from 1"),
    (CircuitBreaker, "open_for", 0, "seconds greater than 0"),
    (CircuitBreaker, "make", 7, "a function, or None"),
    *[(Hedging, "quantile", value, "a number from 0.5 to 0.999") for value in (0.4, 1)],
    *[(Hedging, "most_extra", value, "a number greater than 0 to 1") for value in (0, 2)],
    (Hedging, "least_answers", 0, "a whole number from 1"),
]


@pytest.mark.parametrize(
    ("kind", "name", "value", "accepted"), SETTINGS, ids=[f"{kind.__name__}-{n}-{v!r}" for kind, n, v, _ in SETTINGS]
)
def test_settings_that_cannot_work_are_refused(kind: Any, name: str, value: Any, accepted: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is .*; accepted: {accepted}"):
        kind(**{name: value})


def test_a_changed_policy_is_checked_like_a_new_one() -> None:
    policy = CallPolicy(deadline=3.0).change(attempts=2, retry_on=[500, 503])
    assert (policy.attempts, policy.deadline, policy.retry_on) == (2, 3.0, frozenset({500, 503}))
    with pytest.raises(ValueError, match="attempts is 0"):
        policy.change(attempts=0)


def test_nothing_but_a_policy_overrides_a_policy() -> None:
    with pytest.raises(TypeError, match="policy is a int; accepted: a CallPolicy"), pydoudou.call_policy(3):  # type: ignore[arg-type]
        pass


# -- whose policy a call follows ---------------------------------------------------------------------------------------


def service(policy: CallPolicy, count: int = 3) -> CalledService[str]:
    members = [Member("orders", "10.0.0.1", port) for port in range(1, count + 1)]

    def failed(message: str, *, request: object) -> Exception:
        return LookupError(message)

    errors = ClientErrors(failed, failed, lambda error: Reached.UNCONNECTED)
    log = logging.getLogger("pydoudou.tests")
    return CalledService("orders", reporting(InOrder(*members), "orders"), policy, errors, str, log, lambda _: None)


def attempts(called: CalledService[str]) -> int:
    """How many attempts a call makes that fails."""
    call = called.call("GET", "http://orders/", True, 0.0)
    attempt, count = called.first(call, None, 0.0), 0
    following: Any = attempt
    while following is not None:
        attempt, count = following, count + 1
        following = called.after(call, attempt, OSError(), 0.0)
    return count


def test_the_clients_policy_holds_and_may_be_changed_at_run_time() -> None:
    called = service(CallPolicy())
    assert attempts(called) == 3
    called.policy = CallPolicy(attempts=1)
    assert attempts(called) == 1


@pytest.mark.parametrize(
    "rule",
    [
        {"deadline": 3.0},
        {"attempt_timeout": 0.5},
        {"breaker": CircuitBreaker()},
        {"hedge": Hedging()},
        {"health": HealthPolicy()},
    ],
    ids=lambda rule: next(iter(rule)),
)
def test_a_call_is_plain_as_long_as_no_rule_has_to_be_asked_about_its_answer(rule: dict[str, Any]) -> None:
    called = service(CallPolicy())

    def policy(connect: float | None = 0.0) -> CallPolicy | None:
        attempt = called.plain_attempt(None, 0.0, connect)
        return None if attempt is None else attempt.policy

    assert policy() is None, "the first answer about the service is still to be waited for"
    called.first_wait(0.0)
    assert policy() == policy(10.0) == CallPolicy()
    assert policy(10.1) is policy(None) is None, "connecting to three members may take longer than it may in all"
    called.policy = CallPolicy(**rule)
    assert policy() is None
    with pydoudou.call_policy(CallPolicy(attempts=2)):
        assert policy() == policy(15.0) == CallPolicy(attempts=2)
    assert policy() is None
    called.policy = CallPolicy()
    assert policy() == CallPolicy()


def test_a_call_is_plain_until_somebody_watches_calls() -> None:
    called = service(CallPolicy())
    called.first_wait(0.0)
    assert called.plain_attempt(None, 0.0) is not None
    watching.watch(lambda call, attempt: None)
    try:
        assert called.plain_attempt(None, 0.0) is None
    finally:
        watching.watch(None)
    assert called.plain_attempt(None, 0.0) is not None


@pytest.mark.parametrize("plain", [True, False])
def test_a_plain_attempt_that_fails_is_the_first_of_a_call_like_any_other(plain: bool) -> None:
    policy = CallPolicy(attempts=2)
    called = service(policy)
    called.first_wait(0.0)
    if plain:
        first = called.plain_attempt(None, 0.0)
        assert first is not None
        attempt, call = first, called.call_of(first, "GET", "http://orders/", True)
    else:
        call = called.call("GET", "http://orders/", True, 0.0)
        attempt = called.first(call, None, 0.0)
    assert attempt.connect_limit == 15.0
    second = called.after(call, attempt, OSError(), 1.0)
    assert second is not None
    assert second.connect_limit == pytest.approx(29.0, abs=0.1)
    assert called.after(call, second, error := OSError(), 2.0) is None
    assert [one.member.port for one in error.attempts] == [1, 2]  # type: ignore[attr-defined]


def test_a_plain_attempt_at_nobody_is_an_error_of_the_library() -> None:
    called = service(CallPolicy(), 0)
    called.ready = True
    with pytest.raises(LookupError, match="orders"):
        called.plain_attempt(None, 0.0)


CHANGES: list[tuple[dict[str, Any], int]] = [
    ({"attempts": 2}, 2),
    ({"deadline": 0.5}, 2),
    ({"retry_on": ()}, 1),
    ({"retry_ratio": 0.0, "retry_reserve": 0.0}, 1),
    ({"dry_run": {"retry_on"}}, 1),
    ({"dry_run": {"budget"}, "retry_ratio": 0.0, "retry_reserve": 0.0}, 3),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES, ids=lambda value: str(value))
def test_every_rule_that_is_changed_at_run_time_holds_for_the_next_call_and_so_does_its_return(
    change: dict[str, Any], expected: int
) -> None:
    called = service(CallPolicy())

    def tried() -> int:
        """How many attempts a call makes that every member answers with 503 after 0.3 s."""
        call = called.call("GET", "http://orders/", True, 0.0)
        attempt: Any = called.first(call, None, 0.0)
        count = 0
        with contextlib.suppress(LookupError):  # an answer that came after the deadline
            while attempt is not None:
                count += 1
                attempt = called.answered(call, attempt, 503, lambda _name: None, None, attempt.started + 0.3)
        return count

    assert tried() == 3
    called.policy = called.policy.change(**change)
    assert tried() == expected
    called.policy = CallPolicy()
    assert tried() == 3


def test_the_time_of_an_attempt_can_be_changed_and_taken_away_at_run_time() -> None:
    called = service(CallPolicy(attempt_timeout=0.5))

    def limit() -> float | None:
        return called.first(called.call("GET", "http://orders/", True, 0.0), None, 0.0).answer_limit

    assert limit() == 0.5
    for change, expected in (({"attempt_timeout": 0.2}, 0.2), ({"dry_run": {"attempt_timeout"}}, None)):
        called.policy = called.policy.change(**change)
        assert limit() == expected
    called.policy = CallPolicy()
    assert limit() is None


def test_a_breaker_can_be_switched_on_and_off_at_run_time() -> None:
    pytest.importorskip("interlock")
    called = service(CallPolicy(attempts=1))
    for _ in range(10):
        assert attempts(called) == 1
    breaking = CallPolicy(attempts=1, breaker=pydoudou.CircuitBreaker())
    called.policy = breaking
    for _ in range(6):
        assert attempts(called) == 1
    with pytest.raises(LookupError, match="circuit breaker"):
        attempts(called)
    called.policy = breaking.change(dry_run={"breaker"})
    assert attempts(called) == 1
    called.policy = CallPolicy(attempts=1)
    assert attempts(called) == 1
    called.policy = breaking
    with pytest.raises(LookupError, match="circuit breaker"):
        attempts(called)


def test_hedging_can_be_switched_on_changed_and_off_at_run_time() -> None:
    called = service(CallPolicy())

    def hedged_after() -> tuple[float | None, bool]:
        """After how many seconds the next call is to be hedged, and whether it is then."""
        call = called.call("GET", "http://orders/", True, 0.0)
        called.first(call, None, 0.0)
        after = call.hedge_after(0.0)
        return after, called.hedge(call, 0.5) is not None

    hedging = CallPolicy(hedge=Hedging(least_answers=10, most_extra=1), retry_reserve=10.0)
    assert hedged_after() == (None, False)
    called.policy = hedging
    assert hedged_after()[0] is None, "nothing is known yet of how long answers take"
    for place in range(10):
        call = called.call("GET", "http://orders/", True, 0.0)
        assert (
            called.answered(call, called.first(call, None, 0.0), 200, lambda _name: None, None, 0.1 + place / 100)
            is None
        )
    assert hedged_after() == (pytest.approx(0.19), True)
    called.policy = hedging.change(hedge=Hedging(least_answers=10, most_extra=1, quantile=0.5))
    assert hedged_after() == (pytest.approx(0.15), True)
    called.policy = hedging.change(hedge=Hedging(least_answers=11, most_extra=1))
    assert hedged_after()[0] is None
    called.policy = hedging.change(dry_run={"hedge"})
    assert hedged_after() == (pytest.approx(0.19), False)
    called.policy = CallPolicy()
    assert hedged_after() == (None, False)
    called.policy = hedging
    assert hedged_after() == (pytest.approx(0.19), True)


def test_what_a_retry_after_of_zero_proves_can_be_changed_at_run_time() -> None:
    called = service(CallPolicy())

    def moves() -> bool:
        """Whether a POST moves that is answered with 503 and ``Retry-After: 0``."""
        call = called.call("POST", "http://orders/", True, 0.0)
        attempt = called.first(call, None, 0.0)
        headers = {"retry-after": "0"}
        return called.answered(call, attempt, 503, headers.get, None, 0.1) is not None

    assert not moves()
    for change, expected in (
        ({"retry_after_zero": True}, True),
        ({"dry_run": {"not_processed"}}, False),
        ({"dry_run": ()}, True),
        ({"retry_after_zero": False}, False),
    ):
        called.policy = called.policy.change(**change)
        assert moves() is expected, change


def test_calls_in_a_block_follow_its_policy_and_the_inner_one_wins() -> None:
    called = service(CallPolicy())
    with pydoudou.call_policy(CallPolicy(attempts=2)):
        assert attempts(called) == 2
        with pydoudou.call_policy(CallPolicy(attempts=1)):
            assert attempts(called) == 1
        assert attempts(called) == 2
    assert attempts(called) == 3


def test_a_call_takes_the_policy_that_it_began_with() -> None:
    called = service(CallPolicy())
    with pydoudou.call_policy(CallPolicy(attempts=1)):
        call = called.call("GET", "http://orders/", True, 0.0)
    assert called.after(call, called.first(call, None, 0.0), OSError(), 0.0) is None


def test_a_policy_of_one_task_is_not_that_of_another() -> None:
    called, seen = service(CallPolicy()), {}

    async def one(name: str, most: int, entered: asyncio.Event, other: asyncio.Event) -> None:
        with pydoudou.call_policy(CallPolicy(attempts=most)):
            entered.set()
            await other.wait()
            seen[name] = attempts(called)

    async def both() -> None:
        a, b = asyncio.Event(), asyncio.Event()
        await asyncio.gather(one("a", 1, a, b), one("b", 2, b, a))

    asyncio.run(both())
    assert seen == {"a": 1, "b": 2}
    assert contextvars.Context().run(attempts, called) == 3
