"""HTTP/2 to the members, by the transport that the caller gives, through httpx and httpx2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.http2_member import Behaviour, Http2Member, answer, busy, close, go_away, refuse, reset
from support.http_callers import HTTPX_CALLERS, AsyncHttpx2Caller, HttpxCaller
from support.http_members import GivenMembers, InOrder

from pydoudou import CallPolicy, RoundRobin
from pydoudou.balancers.service_state import state_of
from pydoudou.drivers.members import Reached

pytestmark = pytest.mark.parametrize("caller_class", HTTPX_CALLERS, ids=lambda one: one.__doc__)


@pytest.fixture
def good() -> Iterator[Http2Member]:
    with Http2Member() as member:
        yield member


def over_http2(caller_class: Any, *members: Http2Member) -> Any:
    return caller_class.over(InOrder(*(member.member() for member in members)), http1=False, http2=True)


@pytest.mark.ability("http2")
def test_one_connection_carries_all_requests_for_a_member(caller_class: Any, good: Http2Member) -> None:
    with over_http2(caller_class, good) as caller:
        versions = [caller.call().response.http_version for _ in range(3)]
    assert versions == ["HTTP/2"] * 3
    assert [stream.headers[":authority"] for stream in good.served] == ["orders"] * 3
    assert [stream.number for stream in good.served] == [1, 3, 5]


def test_an_idempotent_request_moves_on_when_its_connection_is_dropped(caller_class: Any, good: Http2Member) -> None:
    with Http2Member(answer, close) as first, over_http2(caller_class, first, good) as caller:
        answered = [caller.call().member for _ in range(2)]
        assert answered == [first.member(), good.member()]


@pytest.mark.parametrize("behaviour", [close, reset, go_away(1)], ids=["closed", "reset", "goaway 1"])
def test_a_post_that_may_have_been_done_stays_where_it_was_sent(
    caller_class: Any, good: Http2Member, behaviour: Behaviour
) -> None:
    with Http2Member(behaviour) as first, over_http2(caller_class, first, good) as caller:
        with pytest.raises(caller.broken):
            caller.call("POST", content=b"body")
    assert good.served == []


@pytest.mark.ability("http2", "moves")
@pytest.mark.parametrize("behaviour", [refuse, go_away(0)], ids=["refused stream", "goaway 0"])
def test_a_post_that_was_not_taken_in_moves(caller_class: Any, good: Http2Member, behaviour: Behaviour) -> None:
    with Http2Member(behaviour) as first, over_http2(caller_class, first, good) as caller:
        called = caller.call("POST", content=b"body")
        assert called.member == good.member()
        attempts = caller.attempts_of(called.response)
    assert attempts[0].left.startswith("refused (")
    assert [(stream.headers[":method"], stream.body) for stream in good.served] == [("POST", b"body")]


@pytest.mark.parametrize("behaviour", [refuse, go_away(0)], ids=["refused stream", "goaway 0"])
def test_a_body_that_is_made_as_it_is_sent_is_never_sent_twice(
    caller_class: Any, good: Http2Member, behaviour: Behaviour
) -> None:
    with Http2Member(behaviour) as first, over_http2(caller_class, first, good) as caller:
        with pytest.raises(caller.broken) as caught:
            caller.call("POST", content=iter([b"one ", b"two"]))
        assert any("cannot be sent twice" in note for note in caught.value.__notes__)
    assert good.served == []


def test_a_member_that_refuses_says_so_in_its_record(caller_class: Any, good: Http2Member) -> None:
    with Http2Member(refuse) as first:
        registry = GivenMembers(first.member())
        with caller_class.over(RoundRobin("orders", registry), http1=False, http2=True) as caller:
            with pytest.raises(caller.broken):
                caller.call("POST", content=iter([b"body"]))
        state = state_of(registry, "orders")
        assert state.in_flight(first.member()) == 0
        record = state.memory.record(first.member())
    assert record is not None
    assert record.outcomes == {Reached.REFUSED: 1}


def test_answers_that_a_call_moves_on_from_do_not_use_up_their_connection(caller_class: Any, good: Http2Member) -> None:
    if caller_class not in (HttpxCaller, AsyncHttpx2Caller):
        pytest.skip("takes seconds, and one of each kind shows it")
    # Together more than the 16 MB that httpcore lets a server send before something is read.
    calls, length = 260, 65_536
    with Http2Member(busy(length)) as first, over_http2(caller_class, first, good) as caller:
        caller.integration.policy = CallPolicy(retry_ratio=1.0)
        assert {caller.call().status for _ in range(calls)} == {204}
        assert [stream.number for stream in first.served] == [*range(1, 2 * calls, 2)]
