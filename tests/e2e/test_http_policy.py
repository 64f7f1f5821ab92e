"""What a call's policy does to calls through every HTTP client, against real servers: when an answer or a time that is
over moves a call, what it may cost, and what the caller can read of it afterwards."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.http_callers import CALLERS, CANCELLABLE, Caller
from support.http_members import Behaviour, GivenMembers, HttpMember, InOrder, refusing, silent
from support.waiting import eventually

from pydoudou import CallPolicy, CircuitBreaker, Hedging, Member, RoundRobin, call_policy
from pydoudou.balancers.service_state import state_of

CallerClass = type[Caller]
every_client = pytest.mark.parametrize("caller_class", CALLERS, ids=lambda one: one.__doc__)


@pytest.fixture
def good() -> Iterator[HttpMember]:
    with HttpMember("good") as member:
        yield member


def saying(status: int, **headers: str) -> Behaviour:
    """Answer with this status and these headers; "_" stands for "-"."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.reply(status, named, body=b"busy")


def in_turn(*answers: Behaviour) -> Behaviour:
    """Answer like this, then like that; the last one for ever."""
    turns: Iterator[Callable[[Any], None]] = itertools.chain(answers, itertools.repeat(answers[-1]))
    return lambda handler: next(turns)(handler)


def parts() -> Iterator[bytes]:
    yield b"one "
    yield b"two"


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.ability("moves")
@every_client
@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateways_status_moves_an_idempotent_call(caller_class: CallerClass, good: HttpMember, status: int) -> None:
    with (
        HttpMember("busy", answer=saying(status)) as busy,
        caller_class(InOrder(busy.member(), good.member())) as caller,
    ):
        answer = caller.call("PUT", content=b"body")
        assert (answer.status, answer.member) == (200, good.member())
        # The answer that nobody read is closed, and its connection with it.
        eventually(lambda: caller.reads_ahead or busy.open_connections() == 0)
    assert [request.body for request in good.served] == [b"body"]


@every_client
@pytest.mark.parametrize(("method", "content"), [("POST", b"body"), ("PATCH", b"body"), ("PUT", "parts")])
def test_a_status_is_the_answer_to_a_call_that_must_not_be_sent_twice(
    caller_class: CallerClass, good: HttpMember, method: str, content: Any
) -> None:
    with (
        HttpMember("busy", answer=saying(503)) as busy,
        caller_class(InOrder(busy.member(), good.member())) as caller,
    ):
        answer = caller.call(method, content=parts() if content == "parts" else content)
        assert (answer.status, answer.content) == (503, b"busy")
    assert good.served == []


@pytest.mark.ability("moves")
@every_client
@pytest.mark.parametrize(("named", "moves"), [("orders", True), ("stock", False)])
def test_a_call_that_was_not_processed_moves_whatever_its_method(
    caller_class: CallerClass, good: HttpMember, named: str, moves: bool
) -> None:
    with (
        HttpMember("full", answer=saying(503, X_Doudou_Not_Processed=named)) as full,
        caller_class(InOrder(full.member(), good.member())) as caller,
    ):
        assert caller.call("POST", content=b"body").status == (200 if moves else 503)
    assert [request.body for request in good.served] == ([b"body"] if moves else [])


@every_client
def test_an_answer_that_never_ends_does_not_hold_up_the_call_that_moves(
    caller_class: CallerClass, good: HttpMember
) -> None:
    def endless(handler: Any) -> None:
        handler.send_response(503)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        silent(handler)

    with (
        HttpMember("endless", answer=endless) as bad,
        caller_class(InOrder(bad.member(), good.member())) as caller,
    ):
        begun = time.monotonic()
        assert caller.call(timeout=5.0).status == 200
        assert time.monotonic() - begun < 4.0  # rather than the 5 s that the answer may take


@pytest.mark.ability("retry-after")
@every_client
def test_retry_after_is_waited_for_within_the_deadline(caller_class: CallerClass) -> None:
    with HttpMember("busy", answer=in_turn(saying(503, Retry_After="1"), saying(200))) as busy:
        with caller_class(InOrder(busy.member()), policy=CallPolicy(deadline=5.0)) as caller:
            begun = time.monotonic()
            assert caller.call().status == 200
            assert 1.0 <= time.monotonic() - begun < 4.5
        busy.answer = saying(503, Retry_After="60")
        with caller_class(InOrder(busy.member()), policy=CallPolicy(deadline=5.0)) as caller:
            begun = time.monotonic()
            assert caller.call().status == 503
            assert time.monotonic() - begun < 4.0  # rather than until the deadline


# -- times -------------------------------------------------------------------------------------------------------------


@pytest.mark.ability("moves")
@every_client
def test_an_attempt_whose_own_time_is_over_moves_an_idempotent_call(
    caller_class: CallerClass, good: HttpMember
) -> None:
    policy = CallPolicy(deadline=5.0, attempt_timeout=0.3)
    with HttpMember("stopped", answer=silent) as stopped:
        with caller_class(InOrder(stopped.member(), good.member()), policy=policy) as caller:
            begun = time.monotonic()
            assert caller.call().member == good.member()
            assert 0.25 < time.monotonic() - begun < 4.0
            with pytest.raises(caller.timed_out):
                caller.call("POST")
    assert [request.method for request in good.served] == ["GET"]


@every_client
def test_a_time_of_the_caller_that_is_shorter_is_final(caller_class: CallerClass, good: HttpMember) -> None:
    policy = CallPolicy(deadline=5.0, attempt_timeout=3.0)
    with (
        HttpMember("stopped", answer=silent) as stopped,
        caller_class(InOrder(stopped.member(), good.member()), policy=policy) as caller,
        pytest.raises(caller.timed_out),
    ):
        caller.call(timeout=0.3)
    assert good.served == []


@every_client
def test_the_time_of_an_attempt_ends_with_the_head_of_its_answer(caller_class: CallerClass) -> None:
    def slowly(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "6")
        handler.end_headers()
        handler.wfile.write(b"one")
        time.sleep(0.25)
        handler.wfile.write(b"two")

    # requests has one read timeout for head and body: there the pause must be shorter than the time of an attempt.
    policy = CallPolicy(attempt_timeout=0.4)
    with HttpMember(answer=slowly) as member, caller_class(InOrder(member.member()), policy=policy) as caller:
        assert caller.call().content == b"onetwo"


# -- what it may cost --------------------------------------------------------------------------------------------------


@pytest.mark.ability("budget")
@every_client
def test_retries_stop_when_the_budget_is_used_up(caller_class: CallerClass) -> None:
    with HttpMember("a", answer=saying(503)) as a, HttpMember("b", answer=saying(503)) as b:
        members = GivenMembers(a.member(), b.member())
        with caller_class(RoundRobin("orders", members), policy=CallPolicy(retry_reserve=0.2)) as caller:
            assert {caller.call().status for _ in range(20)} == {503}
        # A fifth of the calls, and 0.2 per second over the ten that the budget looks back; the calls take some moments.
        assert 24 <= len(a.served) + len(b.served) <= 27


@pytest.mark.ability("breaker")
@every_client
def test_an_open_breaker_lets_nobody_through_and_then_one(caller_class: CallerClass, good: HttpMember) -> None:
    breaker = CircuitBreaker(least_calls=4, open_for=0.5)
    members = GivenMembers(good.member())
    with caller_class(RoundRobin("orders", members), policy=CallPolicy(1, breaker=breaker)) as caller:
        good.answer = saying(500)
        for _ in range(4):
            assert caller.call().status == 500
        with pytest.raises(caller.connection_error, match="breaker is open") as caught:
            caller.call()
        if caller.errors_name_requests:
            assert caught.value.request.url == "http://orders/items"  # type: ignore[attr-defined]
        assert len(good.served) == 4
        good.answer = saying(200)

        def closed() -> bool:
            try:
                return caller.call().status == 200
            except caller.connection_error:
                return False

        eventually(closed)
        assert caller.call().status == 200


# -- a second attempt beside the first ---------------------------------------------------------------------------------


@pytest.mark.ability("hedging")
@pytest.mark.parametrize("caller_class", [one for one in CANCELLABLE if one.hedges], ids=lambda one: one.__doc__)
def test_a_call_that_waits_is_sent_to_a_second_member_and_the_first_answer_counts(
    caller_class: CallerClass, good: HttpMember
) -> None:
    policy = CallPolicy(deadline=5.0, hedge=Hedging(quantile=0.5, most_extra=1.0, least_answers=5))
    balancer = InOrder(good.member())
    with HttpMember(answer=silent) as stopped, caller_class(balancer, policy=policy) as caller:
        for _ in range(5):
            caller.call()
        balancer.all = (stopped.member(), good.member())
        answer = caller.call()
        attempts = caller.attempts_of(answer.response)
        assert answer.member == good.member()
        assert [(attempt.member, attempt.status) for attempt in attempts] == [
            (stopped.member(), None),
            (good.member(), 200),
        ]
        # The attempt that was given up is closed.
        eventually(lambda: stopped.open_connections() == 0)


# -- policies ----------------------------------------------------------------------------------------------------------


@every_client
def test_a_policy_can_be_changed_while_the_client_is_used(caller_class: CallerClass, good: HttpMember) -> None:
    with (
        HttpMember("busy", answer=saying(503)) as busy,
        caller_class(InOrder(busy.member(), good.member()), policy=CallPolicy(1)) as caller,
    ):
        assert caller.call().status == 503
        caller.integration.policy = caller.integration.policy.change(attempts=2)
        assert caller.call().status == 200
        assert caller.integration.policy == CallPolicy(2)


@every_client
def test_a_policy_of_a_single_call_goes_before_that_of_the_client(caller_class: CallerClass, good: HttpMember) -> None:
    with (
        HttpMember("busy", answer=saying(503)) as busy,
        caller_class(InOrder(busy.member(), good.member())) as caller,
    ):
        with call_policy(CallPolicy(retry_on=())):
            assert caller.call().status == 503
        assert caller.call().status == 200


@every_client
@pytest.mark.parametrize("besides", [{"attempts": 2}, {"deadline": 1.0}], ids=str)
def test_a_policy_and_an_argument_that_it_has_too_are_refused(
    caller_class: CallerClass, besides: dict[str, Any]
) -> None:
    name = next(iter(besides))
    with pytest.raises(ValueError, match=f"{name} is .*; accepted: nothing besides a policy"):
        caller_class(InOrder(), policy=CallPolicy(), **besides)


# -- what the caller can read ------------------------------------------------------------------------------------------


@pytest.mark.ability("trail")
@every_client
def test_an_answer_tells_the_attempts_that_led_to_it(caller_class: CallerClass, good: HttpMember) -> None:
    with refusing() as gone, HttpMember("busy", answer=saying(503)) as busy:
        with caller_class(InOrder(gone, busy.member(), good.member())) as caller:
            attempts = caller.attempts_of(caller.call().response)
    assert [attempt.member for attempt in attempts] == [gone, busy.member(), good.member()]
    assert [attempt.status for attempt in attempts] == [None, 503, 200]
    assert [attempt.left.partition(" ")[0] for attempt in attempts] == ["unconnected", "answered", ""]
    assert all(attempt.seconds >= 0 for attempt in attempts)
    assert attempts[0].budget_left > attempts[1].budget_left > attempts[2].budget_left


@pytest.mark.ability("trail")
@every_client
def test_an_error_tells_the_attempts_that_led_to_it(caller_class: CallerClass) -> None:
    with refusing() as one, refusing() as two, caller_class(InOrder(one, two)) as caller:
        with pytest.raises(caller.connection_error) as caught:
            caller.call()
        attempts = caller.attempts_of(caught.value)
    assert [(attempt.member, attempt.status) for attempt in attempts] == [(one, None), (two, None)]
    assert all(attempt.left.startswith("unconnected (") for attempt in attempts)


@every_client
def test_an_error_says_that_a_body_could_not_be_sent_again(caller_class: CallerClass, good: HttpMember) -> None:
    policy = CallPolicy(attempt_timeout=1.0)  # connecting is not to take as long
    with (
        HttpMember(answer=silent) as stopped,
        caller_class(InOrder(stopped.member(), good.member()), policy=policy) as caller,
        pytest.raises(caller.timed_out) as caught,
    ):
        caller.call("PUT", content=parts())
    assert any("cannot be sent twice" in note for note in caught.value.__notes__)
    assert good.served == []


# -- cancelling --------------------------------------------------------------------------------------------------------


@pytest.mark.ability("cancellation")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("caller_class", CANCELLABLE, ids=lambda one: one.__doc__)
def test_a_call_that_is_cancelled_while_it_waits_for_its_next_attempt_makes_none(
    caller_class: CallerClass, backend: str
) -> None:
    if backend != "asyncio" and not caller_class.has_backends:
        pytest.skip("runs on asyncio only")
    with HttpMember(answer=saying(503, Retry_After="1")) as busy:
        member: Member = busy.member()
        registry = GivenMembers(member)
        with caller_class(RoundRobin("orders", registry), policy=CallPolicy(deadline=5.0), backend=backend) as caller:
            caller.cancelled(after=0.3)
            state = state_of(registry, "orders")
            assert state.in_flight(member) == 0
    assert len(busy.served) == 1
