"""What the watchdog does about what the server says; the server is a list of answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from pydoudou.drivers.nacos.errors import NacosRefused, NacosUnavailable
from pydoudou.drivers.nacos.instances import Listed, Registration
from pydoudou.drivers.nacos.registrar import HIDDEN_AGAIN_AFTER, REFUSED_AGAIN_AFTER, Registrar
from pydoudou.drivers.nacos.service_names import ServiceName

WANTED = Registration(ServiceName("G", "orders"), "DEFAULT", "10.0.0.1", 1, 1.0, {})


class Server:
    """The session and the server behind it."""

    def __init__(self) -> None:
        self.listed = True
        self.error: Exception | None = None
        self.registered = 0
        self.registrar = Registrar(self.ask)
        self.registrar.wanted = (WANTED,)

    async def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def register(self, registration: Registration) -> None:
        if self.error is not None:
            raise self.error
        self.registered += 1

    def query(self, service: ServiceName) -> tuple[Listed, ...]:
        return (Listed("k", WANTED.host, WANTED.port),) if self.listed else ()

    def begins(self) -> None:
        anyio.run(self.registrar.register, self, 0.0)

    def is_checked(self, now: float) -> None:
        anyio.run(self.registrar.check, self, now)


@pytest.fixture
def server() -> Server:
    return Server()


def test_what_the_server_lists_is_left_alone(server: Server) -> None:
    server.begins()
    server.is_checked(3.0)
    assert (server.registered, server.registrar.problem) == (1, "")


def test_what_it_does_not_list_is_registered_again(server: Server) -> None:
    server.begins()
    server.listed = False
    server.is_checked(3.0)
    server.listed = True
    server.is_checked(6.0)
    assert (server.registered, server.registrar.repairs, server.registrar.problem) == (2, 1, "")


def test_what_was_switched_off_on_purpose_is_tried_rarely_and_said(server: Server) -> None:
    server.begins()
    server.listed = False
    now = 3.0
    while now < HIDDEN_AGAIN_AFTER:
        server.is_checked(now)
        now += 3.0
    assert server.registered == 2
    assert "disabled in the console" in server.registrar.problem
    server.is_checked(3.0 + HIDDEN_AGAIN_AFTER)
    assert server.registered == 3
    server.listed = True
    server.is_checked(6.0 + HIDDEN_AGAIN_AFTER)
    assert server.registrar.problem == ""


def test_a_registration_that_got_no_answer_is_repeated_with_the_next_check(server: Server) -> None:
    server.error = NacosUnavailable("slow")
    with pytest.raises(NacosUnavailable):
        server.begins()
    assert server.registrar.problem == "not registered: slow"
    server.error = None
    server.is_checked(3.0)
    assert (server.registered, server.registrar.problem) == (1, "")


def test_a_refused_registration_is_repeated_after_a_while(server: Server) -> None:
    server.error = NacosRefused("no right")
    with pytest.raises(NacosRefused):
        server.begins()
    server.error = None
    server.is_checked(3.0)
    assert (server.registered, server.registrar.problem) == (0, "not registered: no right")
    server.is_checked(REFUSED_AGAIN_AFTER)
    assert (server.registered, server.registrar.problem) == (1, "")
