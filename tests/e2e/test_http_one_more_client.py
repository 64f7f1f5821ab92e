"""One more client has the same rules as those there are, and is as small as what is its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import plain_client
from support.http_members import GivenMembers, HttpMember, InOrder, hang_up, redirect, refusing, silent
from support.plain_client import PlainClient

from pydoudou import Member, RoundRobin
from pydoudou.balancers.service_state import state_of
from pydoudou.drivers.members import Reached

URL = "http://orders/items"


@pytest.fixture
def good() -> Iterator[HttpMember]:
    with HttpMember("good") as member:
        yield member


def test_it_is_small() -> None:
    source = Path(plain_client.__file__).read_text("utf-8")
    assert len([line for line in source.splitlines() if line.strip()]) < 90


def test_a_call_that_was_not_sent_moves_whatever_the_method(good: HttpMember) -> None:
    unusable = Member("orders", "127.0.0.1", 0)
    with refusing() as gone:
        status, _, _ = PlainClient(InOrder(unusable, gone, good.member())).request("POST", URL, b"body")
    assert status == 200
    assert [request.body for request in good.served] == [b"body"]


def test_a_call_that_may_have_acted_moves_if_it_is_idempotent(good: HttpMember) -> None:
    with HttpMember(answer=hang_up) as bad:
        client = PlainClient(InOrder(bad.member(), good.member()))
        assert client.request("GET", URL)[0] == 200
        with pytest.raises((OSError, ConnectionError)):
            client.request("POST", URL)
    assert [request.method for request in good.served] == ["GET"]


def test_nobody_to_call_and_a_deadline_that_is_over_are_its_own_errors() -> None:
    with pytest.raises(ConnectionError, match="nobody is left"):
        PlainClient(InOrder()).request("GET", URL)
    with HttpMember(answer=silent) as member, pytest.raises(TimeoutError):
        PlainClient(InOrder(member.member()), deadline=0.2).request("GET", URL)


def test_what_the_member_says_is_in_the_callers_terms(good: HttpMember) -> None:
    good.answer = redirect("/api/after", on="/api/items")
    _, headers, _ = PlainClient(InOrder(good.member(root_path="/api"))).request("GET", URL)
    assert headers["location"] == "http://orders/after"


def test_its_outcomes_are_remembered(good: HttpMember) -> None:
    with refusing() as gone:
        registry = GivenMembers(gone, good.member())
        client = PlainClient(RoundRobin("orders", registry))
        for _ in range(4):
            client.request("GET", URL)
        state = state_of(registry, "orders")
        assert state.in_flight(gone) == state.in_flight(good.member()) == 0
        of_gone, of_good = state.memory.record(gone), state.memory.record(good.member())
    assert of_gone is not None
    assert of_good is not None
    assert of_gone.outcomes == {Reached.UNCONNECTED: 2}
    assert of_good.outcomes == {Reached.ANSWERED: 4}
