"""What `mount` catches, what the adapter hands to requests, and what it relies on in requests and urllib3."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from support.http_members import GivenMembers, InOrder
from urllib3 import Timeout

from pydoudou import Member, NoMemberAvailable, WeightedRandom
from pydoudou.contrib.requests import DiscoveryAdapter, NoMemberError, mount

MEMBER, OTHER, THIRD = (Member("orders", "10.0.0.7", port) for port in (8080, 8081, 8082))


@pytest.fixture
def session() -> requests.Session:
    return requests.Session()


@pytest.mark.parametrize("url", ["http://orders/items", "https://orders/", "lb://orders/items", "http://Orders/items"])
def test_mount_catches_the_service(session: requests.Session, url: str) -> None:
    adapter = mount(session, "orders", InOrder(MEMBER))
    assert session.get_adapter(url) is adapter


@pytest.mark.parametrize(
    "url", ["http://orders2/", "http://orders.example.com/", "http://my.orders/", "http://orders:8080/"]
)
def test_mount_catches_nothing_else(session: requests.Session, url: str) -> None:
    mount(session, "orders", InOrder(MEMBER))
    assert not isinstance(session.get_adapter(url), DiscoveryAdapter)


@pytest.mark.parametrize("name", ["DEFAULT_GROUP@@Orders", "orders/v2", "orders:80", "", "bestellungen für"])
def test_a_name_that_no_url_can_carry_is_refused(session: requests.Session, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the host of a URL"):
        mount(session, name)


def test_without_a_registry_a_request_says_what_to_start(session: requests.Session) -> None:
    mount(session, "orders")
    with pytest.raises(NoMemberError, match=r"pydoudou\.new_node") as caught:
        session.get("http://orders/items")
    assert isinstance(caught.value.__cause__, NoMemberAvailable)
    assert caught.value.request is not None
    assert caught.value.request.url == "http://orders/items"


def test_a_function_makes_the_balancer(session: requests.Session) -> None:
    made: list[WeightedRandom] = []

    def balancer(name: str) -> WeightedRandom:
        made.append(WeightedRandom(name, GivenMembers(MEMBER)))
        return made[-1]

    mount(session, "orders", balancer)
    assert [one.service for one in made] == ["orders"]


@pytest.mark.parametrize("wrong", ["RoundRobin", 5, [MEMBER], object()])
def test_what_is_no_balancer_is_refused_where_it_is_given(session: requests.Session, wrong: Any) -> None:
    with pytest.raises(TypeError):
        mount(session, "orders", wrong)


def test_a_pickled_session_calls_through_the_registry_it_arrives_in(session: requests.Session) -> None:
    mount(session, "orders", attempts=5, deadline=2.0)
    arrived = pickle.loads(pickle.dumps(session))
    with pytest.raises(NoMemberError, match="'orders' is known, because no default registry runs"):
        arrived.get("http://orders/")


def test_a_pickled_adapter_takes_its_balancer_and_its_policy_along(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = DiscoveryAdapter("orders", InOrder(MEMBER), deadline=2.0)
    sent = timeout_sent(monkeypatch, None, adapter=pickle.loads(pickle.dumps(adapter)))
    assert phases(sent) == pytest.approx((2.0, 2.0), abs=0.1)


def test_a_balancer_that_cannot_be_pickled_is_refused() -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(DiscoveryAdapter("orders", lambda name: InOrder(MEMBER)))


def timeout_sent(
    monkeypatch: pytest.MonkeyPatch, timeout: Any, adapter: DiscoveryAdapter | None = None, **options: Any
) -> Any:
    """The timeout that requests is told for one attempt."""
    seen: list[Any] = []

    def send(self: HTTPAdapter, request: Any, stream: bool, timeout: Any, *more: Any) -> requests.Response:
        seen.append(timeout)
        return requests.Response()

    monkeypatch.setattr(HTTPAdapter, "send", send)
    request = requests.Request("GET", "http://orders/").prepare()
    (adapter or DiscoveryAdapter("orders", InOrder(MEMBER, OTHER, THIRD), **options)).send(request, timeout=timeout)
    return seen[0]


def phases(sent: Any) -> tuple[float | None, float | None]:
    """The time for connecting, and then for the answer if connecting takes none."""
    if isinstance(sent, tuple):
        return sent
    sent.start_connect()
    return sent.connect_timeout, sent.read_timeout


@pytest.mark.parametrize(
    ("timeout", "options", "connect", "read"),
    [
        (None, {}, 10.0, None),
        (None, {"deadline": 3.0}, 1.0, 3.0),
        (0.5, {"deadline": 3.0}, 0.5, 0.5),
        ((0.5, None), {}, 0.5, None),
        ((None, 9.0), {"attempts": 1, "deadline": 3.0}, 3.0, 3.0),
    ],
)
def test_timeouts_are_cut_to_what_is_left(
    monkeypatch: pytest.MonkeyPatch, timeout: Any, options: Any, connect: float, read: float | None
) -> None:
    sent = timeout_sent(monkeypatch, timeout, **options)
    expected = (pytest.approx(connect, abs=0.1), read if read is None else pytest.approx(read, abs=0.1))
    assert phases(sent) == expected


@pytest.mark.parametrize(
    ("timeout", "connect", "read", "total"),
    [
        (Timeout(connect=0.5, read=9.0), 0.5, 3.0, 3.0),
        (Timeout(connect=None, read=0.5), 1.0, 0.5, 3.0),
        (Timeout(), 1.0, 3.0, 3.0),
        (Timeout(total=0.5), 0.5, 0.5, 0.5),
        (Timeout(total=9.0), 1.0, 3.0, 3.0),
    ],
)
def test_a_timeout_of_urllib3_is_cut_too(
    monkeypatch: pytest.MonkeyPatch, timeout: Timeout, connect: float, read: float, total: float
) -> None:
    sent = timeout_sent(monkeypatch, timeout, deadline=3.0)
    assert phases(sent) == pytest.approx((connect, read), abs=0.1)
    assert sent.total == pytest.approx(total, abs=0.1)


def test_without_a_deadline_a_total_of_the_caller_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert timeout_sent(monkeypatch, Timeout(total=0.5)).total == 0.5


def test_a_malformed_timeout_is_requests_own_error(session: requests.Session) -> None:
    mount(session, "orders", InOrder(MEMBER))
    with pytest.raises(ValueError, match="timeout"):
        session.get("http://orders/", timeout=(1, 2, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("session", "orders"), {}),
        ((requests.Session(), 5), {}),
        ((requests.Session(), "orders"), {"attempts": 0}),
        ((requests.Session(), "orders"), {"deadline": -1}),
        ((requests.Session(), "orders"), {"pool_maxsize": 0}),
        ((requests.Session(), "orders"), {"pool_maxsize": "10"}),
    ],
    ids=["no session", "no name", "attempts", "deadline", "no pool", "text for a pool"],
)
def test_arguments_that_cannot_work_are_refused_where_they_are_given(arguments: Any, options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match="accepted: "):
        mount(*arguments, **options)


def test_an_adapter_without_a_name_is_refused() -> None:
    with pytest.raises(TypeError, match="accepted: the name of a service"):
        DiscoveryAdapter("", InOrder(MEMBER))
