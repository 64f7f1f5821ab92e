"""What `Registered` says to a server, and to an application."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from support.held import Holdings
from support.http_members import HttpMember
from support.scripted import ScriptedPlugin, settings
from support.waiting import eventually_async

from pydoudou.contrib.asgi import Registered
from pydoudou.contrib.servers import State
from pydoudou.contrib.servers.registered_above import marked
from pydoudou.discovery import default_registry

REGISTERED = {"register": True, "service_name": "orders", "register_host": "127.0.0.1", "drain_time": 0.0}
STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


class Server:
    """One that has an application live, and hears what it says.

    Attributes:
        said: the messages, by their types.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.said: list[str] = []

    async def live(self, meanwhile: Callable[[], Any]) -> None:
        """From startup to shutdown; `meanwhile` is awaited between the two."""
        shutdown = anyio.Event()
        came = [STARTUP]

        async def receive() -> Any:
            if came:
                return came.pop()
            await shutdown.wait()
            return SHUTDOWN

        async def send(message: Any) -> None:
            self.said.append(message["type"])
            if message["type"] == "lifespan.startup.complete":
                await meanwhile()
                shutdown.set()

        await self._app({"type": "lifespan"}, receive, send)


async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("HTTP alone")


async def saying_nothing(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
    assert await receive() == STARTUP
    await send({"type": "lifespan.startup.complete"})
    assert await receive() == SHUTDOWN
    assert default_registry.current() is not None
    await send({"type": "lifespan.shutdown.complete"})


async def failing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def nothing() -> None:
    """Between startup and shutdown."""


@pytest.mark.parametrize("app", [without_lifespan, saying_nothing, with_lifespan], ids=lambda app: app.__name__)
def test_the_server_is_answered_whatever_the_application_knows_of_a_lifespan(app: Any) -> None:
    plugin = ScriptedPlugin("gossip")
    with HttpMember("a") as member:
        registered = Registered(app, {"zone": "a"}, settings=settings(plugin, **REGISTERED, port=member.member().port))
        server = Server(registered)

        async def until_registered() -> None:
            assert registered.server is not None
            await eventually_async(lambda: member.served)
            registered.server.recognise(member.served[0].headers["user-agent"])  # as if it had served that itself
            await eventually_async(lambda: registered.server.status().state is State.REGISTERED)

        anyio.run(server.live, until_registered)
    assert server.said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert plugin.driver.instance is not None
    assert plugin.driver.instance.data == {"zone": "a"}
    assert plugin.driver.log == ["run", "leave", "end"]
    assert default_registry.current() is None


def test_an_application_that_fails_to_start_is_heard_and_nothing_runs_on() -> None:
    plugin = ScriptedPlugin("gossip")
    server = Server(Registered(failing, settings=settings(plugin, **REGISTERED)))
    anyio.run(server.live, nothing)
    assert server.said == ["lifespan.startup.failed"]
    assert plugin.driver.log[-1] == "end"


def test_a_program_that_run_registers_only_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = ScriptedPlugin("gossip")
    chosen = settings(plugin, **REGISTERED)
    for name, value in marked({}, chosen).items():
        monkeypatch.setenv(name, value)
    registered = Registered(without_lifespan, settings=chosen)

    async def look() -> None:
        registry = default_registry.current()
        assert registry is not None
        assert (registered.server, registry.settings.register) == (None, False)

    anyio.run(Server(registered).live, look)
    assert plugin.driver.instance is None


def test_twenty_lives_leave_no_thread_no_file_and_no_handler_behind() -> None:
    plugin = ScriptedPlugin("gossip")
    chosen = settings(plugin, **REGISTERED)

    async def lives() -> None:
        server = Server(Registered(without_lifespan, settings=chosen))
        await server.live(nothing)
        before = Holdings()
        for _ in range(20):
            await server.live(nothing)
        await before.assert_nothing_new_async()

    anyio.run(lives)


def test_answers_are_left_alone_until_it_drains() -> None:
    plugin, heads = ScriptedPlugin("gossip"), []
    scope = {"type": "http", "http_version": "1.1"}

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"Connection", b"keep-alive")]})

    registered = Registered(answers, settings=settings(plugin, **REGISTERED))

    async def head(message: Any) -> None:
        heads.append(list(message["headers"]))

    async def asked_twice() -> None:
        assert registered.server is not None
        await registered(scope, nothing, head)
        registered.server.drain_soon()
        await registered(scope, nothing, head)
        await registered({**scope, "http_version": "2"}, nothing, head)

    anyio.run(Server(registered).live, asked_twice)
    assert heads == [[(b"Connection", b"keep-alive")], [(b"connection", b"close")], [(b"Connection", b"keep-alive")]]


def test_a_signal_in_the_startup_is_not_lost() -> None:
    plugin = ScriptedPlugin("gossip")
    registered = Registered(without_lifespan, settings=settings(plugin, **REGISTERED))
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))

    async def told() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await eventually_async(lambda: heard == [signal.SIGTERM])

    try:
        anyio.run(Server(registered).live, told)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert plugin.driver.instance is None
