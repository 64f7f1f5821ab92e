"""What a client keeps per service and per host: base URLs, and the services themselves, in bounds."""

from __future__ import annotations

import logging

import attrs
import pytest
from support.http_members import InOrder

from pydoudou import Member
from pydoudou.balancers.calls.origins import Origins
from pydoudou.balancers.calls.policy import CallPolicy
from pydoudou.balancers.calls.service import FIRST_ANSWER_WITHIN, CalledService, ClientErrors
from pydoudou.balancers.calls.services import MOST_SERVICES, Services
from pydoudou.balancers.calls.urls import UnusableAddress
from pydoudou.balancers.reporting import reporting

A, B = (Member("orders", "10.0.0.1", port) for port in (1, 2))
ERRORS = ClientErrors(LookupError, TimeoutError, lambda error: None)


def service(host: str = "orders", *members: Member, deadline: float | None = None) -> CalledService[str]:
    balancer = reporting(InOrder(*members), host)
    log = logging.getLogger("pydoudou.tests")
    return CalledService(host, balancer, CallPolicy(deadline=deadline), ERRORS, str, log, lambda members: None)


# -- base URLs ---------------------------------------------------------------------------------------------------------


class Made(list[str]):
    """What base URLs were parsed."""

    def __call__(self, base: str) -> str:
        self.append(base)
        return base


def test_a_base_url_is_made_once_per_view_member_and_scheme() -> None:
    made, first, second = Made(), object(), object()
    origins = Origins(made)
    for version in (first, first, second):
        for member in (A, B, attrs.evolve(A, root_path="/api")):
            origins.of(member, "http", version)
    origins.of(A, "https", second)
    assert made == [
        *["http://10.0.0.1:1", "http://10.0.0.1:2", "http://10.0.0.1:1/api"] * 2,
        "https://10.0.0.1:1",
    ]


def test_a_member_reached_by_tls_has_its_own_scheme_and_https_is_never_taken_back() -> None:
    made = Made()
    origins, secured, view = Origins(made), attrs.evolve(A, scheme="https"), object()
    for member, asked in ((secured, "http"), (secured, "lb"), (A, "https"), (A, "lb"), (secured, "http")):
        origins.of(member, asked, view)
    assert made == ["https://10.0.0.1:1", "https://10.0.0.1:1", "https://10.0.0.1:1", "http://10.0.0.1:1"]


def test_members_that_come_and_go_within_a_view_are_not_kept_for_ever() -> None:
    made = Made()
    origins = Origins(made)
    for turn in range(20_000):
        origins.of(Member("orders", f"10.0.{turn // 250}.{turn % 250}", 80), "http", None)
    before = len(made)
    origins.of(Member("orders", "10.0.0.0", 80), "http", None)
    assert len(made) == before + 1


@pytest.mark.parametrize("fields", [{"port": 0}, {"port": 65536}, {"host": "a..b"}, {"root_path": "/\ud800"}], ids=str)
def test_a_member_that_cannot_be_addressed_has_no_base_url(fields: dict[str, object]) -> None:
    with pytest.raises(UnusableAddress):
        Origins(str).of(attrs.evolve(A, **fields), "http", None)  # type: ignore[arg-type]


# -- services ----------------------------------------------------------------------------------------------------------


def test_names_that_nobody_knows_are_forgotten_first() -> None:
    services: Services[str] = Services()
    services.add(service("orders", A))
    for number in range(3 * MOST_SERVICES):
        services.add(service(f"invented{number}"))
    assert services.by_host.get("orders") is not None
    assert services.by_host.get("invented0") is None
    assert services.by_host.get(f"invented{3 * MOST_SERVICES - 1}") is not None
    assert len(services.by_host) <= MOST_SERVICES


def test_of_known_services_the_one_that_came_first_is_forgotten() -> None:
    services: Services[str] = Services()
    forgotten = [host for number in range(MOST_SERVICES + 2) for host in services.add(service(f"real{number}", A))]
    assert forgotten == ["real0", "real1"]
    assert len(services.by_host) == MOST_SERVICES


# -- the first answer --------------------------------------------------------------------------------------------------


def test_everybody_who_calls_before_the_first_answer_waits_for_it() -> None:
    one = service()
    assert one.first_wait(100.0) == FIRST_ANSWER_WITHIN
    assert one.first_wait(100.2) == pytest.approx(FIRST_ANSWER_WITHIN - 0.2)
    assert one.first_wait(100.0 + FIRST_ANSWER_WITHIN) == 0.0
    assert one.first_wait(100.1) == 0.0


def test_nobody_waits_when_a_member_is_known() -> None:
    assert service("orders", A).first_wait(100.0) == 0.0


def test_nobody_waits_longer_than_the_deadline() -> None:
    assert service(deadline=0.2).first_wait(100.0) == pytest.approx(0.2)
