"""What is urllib3's own: its retries, its redirects, its timeouts and the pools of everybody else."""

from __future__ import annotations

import io
import pickle
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from support.http_members import (
    GivenMembers,
    HttpMember,
    InOrder,
    half_an_answer,
    hang_up,
    in_two_pieces,
    redirect,
    refusing,
    silent,
)
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError

from pydoudou import Balancer, CallPolicy, NoMemberAvailable, RoundRobin
from pydoudou.balancers.service_state import state_of
from pydoudou.contrib.urllib3 import DiscoveryPoolManager, NoMemberError, attempts_of, member_of
from pydoudou.drivers.members import Reached

URL = "http://orders/items"


@pytest.fixture
def good() -> Iterator[HttpMember]:
    with HttpMember("good") as member:
        yield member


def manager(balancer: Balancer, **options: Any) -> DiscoveryPoolManager:
    return DiscoveryPoolManager(balancer={"orders": balancer}, **options)


@pytest.mark.parametrize("retries", [None, 5, urllib3.Retry(5, status_forcelist=[503])], ids=str)
def test_urllib3_does_not_repeat_a_call_by_itself(retries: Any) -> None:
    with HttpMember(answer=hang_up) as bad, manager(InOrder(bad.member())) as pool:
        with pytest.raises(ProtocolError) as caught:
            pool.request("GET", URL, retries=retries)
        assert len(bad.served) == 1
        assert [attempt.member for attempt in attempts_of(caught.value)] == [bad.member()]


def test_the_error_is_that_of_the_last_attempt() -> None:
    with refusing() as gone, manager(InOrder(gone)) as pool, pytest.raises(NewConnectionError):
        pool.request("GET", URL)


def test_nobody_to_call_is_an_error_that_says_why() -> None:
    with manager(InOrder()) as pool, pytest.raises(NoMemberError, match="nobody is left") as caught:
        pool.request("GET", URL)
    assert isinstance(caught.value.__cause__, NoMemberAvailable)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_redirects_are_counted_by_the_retries_that_the_caller_gives(good: HttpMember) -> None:
    good.answer = redirect("/items", on="/items")
    with manager(InOrder(good.member())) as pool:
        with pytest.raises(MaxRetryError, match="too many redirects"):
            pool.request("GET", URL, retries=urllib3.Retry(redirect=2))
        assert len(good.served) == 3
        assert pool.request("GET", URL, redirect=False).status == 302
        assert pool.request("GET", URL, retries=False).status == 302


def test_what_a_redirect_leads_to_is_known(good: HttpMember) -> None:
    good.answer = redirect("/api/after", on="/api/items", status=303)
    with manager(InOrder(good.member(root_path="/api"))) as pool:
        response = pool.request("POST", URL, body=b"body", headers={"Authorization": "Bearer x"})
    assert response.geturl() == "http://orders/after"
    assert response.retries is not None
    assert [one.redirect_location for one in response.retries.history] == ["http://orders/after"]
    assert (good.served[1].method, good.served[1].headers["authorization"]) == ("GET", "Bearer x")


def test_a_redirect_to_elsewhere_takes_no_credentials_along(good: HttpMember) -> None:
    with HttpMember(answer=redirect(f"http://localhost:{good.port}/after", on="/items")) as first:
        with manager(InOrder(first.member())) as pool:
            pool.request("GET", URL, headers={"Authorization": "Bearer x"})
    assert "authorization" not in good.served[0].headers


def test_other_hosts_are_left_alone(good: HttpMember) -> None:
    with manager(InOrder()) as pool:
        response = pool.request("GET", good.member().base_url)
        assert response.status == 200
        with pytest.raises(LookupError):
            member_of(response)


def test_a_port_in_the_url_of_a_service_is_ignored_and_seen_by_the_member(good: HttpMember) -> None:
    with manager(InOrder(good.member())) as pool:
        assert pool.request("GET", "http://orders:8080/items").status == 200
    assert good.served[0].headers["host"] == "orders:8080"


def test_headers_of_the_manager_are_sent_and_left_as_they_are(good: HttpMember) -> None:
    headers = {"X-Caller": "shop"}
    with manager(InOrder(good.member()), headers=headers) as pool:
        pool.request("GET", URL)
    assert good.served[0].headers["x-caller"] == "shop"
    assert headers == {"X-Caller": "shop"}


def test_a_body_that_breaks_off_while_it_is_preloaded_is_not_asked_for_again(good: HttpMember) -> None:
    with HttpMember(answer=half_an_answer) as bad:
        members = GivenMembers(bad.member())
        with manager(RoundRobin("orders", members)) as pool, pytest.raises(ProtocolError, match="Incomplete"):
            pool.request("GET", URL)
        state = state_of(members, "orders")
        assert state.in_flight(bad.member()) == 0
        record = state.memory.record(bad.member())
        assert record is not None
        assert (record.outcomes, record.incomplete) == ({Reached.ANSWERED: 1}, 1)


def test_a_file_is_sent_once(good: HttpMember) -> None:
    with HttpMember(answer=hang_up) as bad, manager(InOrder(bad.member(), good.member())) as pool:
        with pytest.raises(HTTPError) as caught:
            pool.request("PUT", URL, body=io.BytesIO(b"content"))
    assert good.served == []
    assert any("cannot be sent twice" in note for note in caught.value.__notes__)


def test_a_form_is_sent_again(good: HttpMember) -> None:
    with HttpMember(answer=hang_up) as bad, manager(InOrder(bad.member(), good.member())) as pool:
        pool.request("PUT", URL, fields={"a": "1"})
        assert [request.body for request in good.served] == [request.body for request in bad.served]


@pytest.mark.parametrize(
    "timeout",
    [0.3, urllib3.Timeout(read=0.3), urllib3.Timeout(total=0.3), urllib3.Timeout(connect=5, read=0.3)],
    ids=str,
)
@pytest.mark.parametrize("of", ["request", "manager"])
def test_a_timeout_of_the_caller_is_kept(timeout: Any, of: str) -> None:
    started = time.monotonic()
    with HttpMember(answer=silent) as slow:
        with manager(InOrder(slow.member()), **({"timeout": timeout} if of == "manager" else {})) as pool:
            with pytest.raises(ReadTimeoutError):
                pool.request("GET", URL, **({"timeout": timeout} if of == "request" else {}))
    assert 0.25 < time.monotonic() - started < 3


def test_the_members_have_pools_of_their_own_number(good: HttpMember) -> None:
    with manager(InOrder(good.member()), num_pools=1) as pool:
        for _ in range(3):
            pool.request("GET", good.member().base_url)
            pool.request("GET", URL)
    assert len(good.connections) == 2


def test_a_response_is_streamed(good: HttpMember) -> None:
    rest = threading.Event()
    good.answer = in_two_pieces(rest)
    with manager(InOrder(good.member())) as pool:
        response = pool.request("GET", URL, preload_content=False)
        pieces = response.stream(10)
        first = next(pieces)
        rest.set()
        assert [first, *pieces] == [b"0123456789", b"abcdefghij"]
        assert member_of(response) == good.member()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"policy": CallPolicy(), "attempts": 1}, ValueError),
        ({"attempts": 0}, ValueError),
        ({"services": 3}, TypeError),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_when_it_is_made(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="accepted"):
        DiscoveryPoolManager(**options)
