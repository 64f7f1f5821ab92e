"""What the registrar does about what the server says; the server is a list of answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from pydoudou.drivers.nacos.errors import NacosError, NacosFailed, NacosRefused, NacosUnavailable
from pydoudou.drivers.nacos.instances import Listed, Registration, ServiceList
from pydoudou.drivers.nacos.registrar import HIDDEN_AGAIN_AFTER, REFUSED_AGAIN, Registrar
from pydoudou.drivers.nacos.service_names import ServiceName

WANTED = Registration(ServiceName("G", "orders"), "DEFAULT", "10.0.0.1", 1, 1.0, {})
REST = Registration(ServiceName("G", "orders_rest"), "DEFAULT", "10.0.0.1", 1, 1.0, {})


class Server:
    """The session and the server behind it.

    Attributes:
        errors: what the server says about a service, whatever it is asked.
    """

    def __init__(self, *wanted: Registration) -> None:
        self.listed = True
        self.errors: dict[str, NacosError] = {}
        self.registered: list[str] = []
        self.taken_back: list[str] = []
        self.registrar = Registrar(self.ask)
        self.registrar.wanted = wanted

    async def ask(self, function: Callable[..., Any], about: Any) -> Any:
        service = about.service if isinstance(about, Registration) else about
        if service.name in self.errors:
            raise self.errors[service.name]
        return function(about)

    def register(self, registration: Registration) -> None:
        self.registered.append(registration.service.name)

    def deregister(self, registration: Registration) -> None:
        self.taken_back.append(registration.service.name)

    def query(self, service: ServiceName) -> ServiceList:
        return ServiceList(service, (Listed("k", WANTED.host, WANTED.port),) if self.listed else ())

    def begins(self) -> None:
        anyio.run(self.registrar.register, self, 0.0)

    def is_checked(self, now: float) -> None:
        anyio.run(self.registrar.check, self, now)

    @property
    def problem(self) -> str:
        return self.registrar.problem


@pytest.fixture
def server() -> Server:
    return Server(WANTED)


@pytest.fixture
def both() -> Server:
    """For a service that is registered under two names."""
    return Server(WANTED, REST)


def test_what_the_server_lists_is_left_alone(server: Server) -> None:
    server.begins()
    server.is_checked(3.0)
    assert (server.registered, server.problem) == (["orders"], "")


def test_what_it_does_not_list_is_registered_again(server: Server) -> None:
    server.begins()
    server.listed = False
    server.is_checked(3.0)
    server.listed = True
    server.is_checked(6.0)
    assert (len(server.registered), server.registrar.repairs, server.problem) == (2, 1, "")


def test_what_was_switched_off_on_purpose_is_tried_rarely_and_said(server: Server) -> None:
    server.begins()
    server.listed = False
    now = 3.0
    while now < HIDDEN_AGAIN_AFTER:
        server.is_checked(now)
        now += 3.0
    assert len(server.registered) == 2
    assert "disabled in the console" in server.problem
    server.is_checked(3.0 + HIDDEN_AGAIN_AFTER)
    assert len(server.registered) == 3
    server.listed = True
    server.is_checked(6.0 + HIDDEN_AGAIN_AFTER)
    assert server.problem == ""


@pytest.mark.parametrize("error", [NacosUnavailable("slow"), NacosFailed("starting")])
def test_a_registration_that_failed_is_repeated_with_the_next_check(server: Server, error: NacosError) -> None:
    server.errors["orders"] = error
    with pytest.raises(type(error)):
        server.begins()
    assert server.problem == f"G@@orders is not registered: {error}"
    server.errors.clear()
    server.is_checked(3.0)
    assert (server.registered, server.problem) == (["orders"], "")


def test_a_refused_registration_is_repeated_ever_more_rarely(server: Server) -> None:
    server.errors["orders"] = NacosRefused("no right")
    with pytest.raises(NacosRefused):
        server.begins()
    asked_at = [0.0]
    for now in (quarter / 4 for quarter in range(4 * 200)):
        server.is_checked(now)
        if server.registrar.failures > len(asked_at):
            asked_at.append(now)
    pauses = [after - before for before, after in itertools.pairwise(asked_at)]
    assert len(pauses) > 8
    for refusals, pause in enumerate(pauses, 1):
        longest = min(REFUSED_AGAIN.most, REFUSED_AGAIN.first * 2 ** (refusals - 1))
        assert longest / 2 <= pause <= longest + 0.25
    assert (server.registered, server.problem) == ([], "G@@orders is not registered: no right")
    server.errors.clear()
    server.is_checked(200.0 + REFUSED_AGAIN.most)
    assert (server.registered, server.problem) == (["orders"], "")


@pytest.mark.parametrize("error", [NacosUnavailable("slow"), NacosFailed("down"), NacosRefused("no right")])
def test_what_goes_wrong_with_one_name_does_not_keep_the_other_from_being_registered(
    both: Server, error: NacosError
) -> None:
    both.errors["orders"] = error
    with pytest.raises(type(error)):
        both.begins()
    assert both.registered == ["orders_rest"]
    assert both.problem == f"G@@orders is not registered: {error}"
    both.is_checked(3.0)
    both.errors.clear()
    both.is_checked(REFUSED_AGAIN.most)
    assert (both.registered, both.problem) == (["orders_rest", "orders"], "")


def test_a_check_fails_only_when_nothing_is_answered(both: Server) -> None:
    both.begins()
    both.errors = {"orders": NacosUnavailable("silent")}
    both.is_checked(3.0)
    both.errors = {"orders": NacosUnavailable("silent"), "orders_rest": NacosFailed("down")}
    both.is_checked(3.0)
    both.errors = {"orders": NacosUnavailable("silent"), "orders_rest": NacosUnavailable("silent")}
    with pytest.raises(NacosUnavailable):
        both.is_checked(3.0)
    assert both.registrar.failures == 5


def test_an_error_about_a_registration_that_stands_changes_nothing(server: Server) -> None:
    server.begins()
    server.errors["orders"] = NacosFailed("down")
    server.is_checked(3.0)
    server.errors.clear()
    server.is_checked(6.0)
    assert (server.registered, server.problem, server.registrar.repairs) == (["orders"], "", 0)


def test_everything_is_taken_back_and_what_cannot_be_does_not_keep_the_rest(both: Server) -> None:
    both.begins()
    both.errors["orders"] = NacosUnavailable("silent")
    with pytest.raises(NacosUnavailable):
        anyio.run(both.registrar.deregister, both)
    assert both.taken_back == ["orders_rest"]
    assert both.registrar.wanted == ()
