"""Layers of ours around an ASGI application, in every order: each does its own, though they share what they can."""

from __future__ import annotations

import itertools
from typing import Any

import anyio
import attrs
import pytest
from support.asgi_requests import AsgiAnswer, ask
from support.layers import Layers
from support.waiting import eventually_async

from pydoudou.contrib.asgi import closing_connections
from pydoudou.contrib.metrics.served import ServedAsgi, ServedCounts
from pydoudou.contrib.protection.asgi import Bulkhead

KINDS = ("counted", "bulkhead", "registered", "foreign", "passing")
ORDERS = [(kind,) for kind in KINDS] + list(itertools.product(KINDS, repeat=2))
ORDERS += itertools.permutations(("counted", "bulkhead", "registered"))
ORDERS += itertools.islice(itertools.permutations(KINDS), 0, None, 11)
in_every_order = pytest.mark.parametrize("order", ORDERS, ids=" ".join)


@attrs.define
class Server:
    """A registered one."""

    draining: bool = False
    doubtful: bool = False


class Layered(Layers):
    """An application in layers, the first of them outermost."""

    def __init__(self, app: Any, order: tuple[str, ...]) -> None:
        self.server = Server()
        super().__init__(app, order)

    def counted(self, app: Any) -> Any:
        self.counts.append(ServedCounts())
        return ServedAsgi(app, self.counts[-1], lambda scope: "")

    def bulkhead(self, app: Any) -> Any:
        return Bulkhead(app, 1, 0, name=self.name)

    def registered(self, app: Any) -> Any:
        return closing_connections(app, self.server)  # type: ignore[arg-type]

    def foreign(self, app: Any) -> Any:
        async def layer(scope: Any, receive: Any, send: Any) -> None:
            async def sending(message: Any) -> None:
                await send(message)

            await app(scope, receive, sending)

        return layer

    def passing(self, app: Any) -> Any:
        async def layer(scope: Any, receive: Any, send: Any) -> None:
            await app(dict(scope), receive, send)

        return layer


async def answer(send: Any) -> None:
    await send({"type": "http.response.start", "status": 201, "headers": [(b"Connection", b"keep-alive")]})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"b"})


@in_every_order
def test_a_request_has_its_places_until_its_answer_was_sent_and_is_counted_once(order: tuple[str, ...]) -> None:
    held = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        held.append(layered.held())
        await answer(send)
        held.append(layered.held())  # work after the answer
        await send({"type": "http.response.body"})  # one too many gives nothing back

    layered = Layered(app, order)
    for number in (1, 2):
        said = anyio.run(lambda: ask(layered.app, http_version="1.1"))
        assert (said.status, said.headers, said.body) == (201, {"Connection": "keep-alive"}, b"ab")
        assert layered.answered() == [{"201": number}] * len(layered.counts)
        assert layered.held() == (0, number * layered.bulkheads)
    assert [each[0] for each in held] == [layered.bulkheads, 0] * 2


@in_every_order
@pytest.mark.parametrize("begun", [False, True], ids=["before its answer", "in its answer"])
def test_an_application_that_fails_gives_its_places_back_and_is_counted(order: tuple[str, ...], begun: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise LookupError("no such item")

    layered = Layered(app, order)
    for number in (1, 2):
        with pytest.raises(LookupError):
            anyio.run(ask, layered.app)
        assert layered.answered() == [{"200" if begun else "500": number}] * len(layered.counts)
        assert layered.held() == (0, number * layered.bulkheads)


@in_every_order
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_who_is_cancelled_while_it_sends_gives_its_places_back_once(order: tuple[str, ...], backend: str) -> None:
    async def run() -> None:
        sending = anyio.Event()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                sending.set()
                await anyio.sleep_forever()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "more_body": True})

        layered = Layered(app, order)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(layered.app, {"type": "http", "method": "GET"}, None, send)
            await sending.wait()
            assert layered.held() == (layered.bulkheads, layered.bulkheads)
            tasks.cancel_scope.cancel()
        assert layered.held() == (0, layered.bulkheads)
        assert layered.answered() == [{"200": 1}] * len(layered.counts)

    anyio.run(run, backend=backend)


@in_every_order
def test_a_place_is_free_as_soon_as_the_server_has_the_last_part(order: tuple[str, ...]) -> None:
    async def send(message: Any) -> None:
        at_send.append(layered.held()[0])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    at_send: list[int] = []
    layered = Layered(app, order)
    anyio.run(layered.app, {"type": "http", "method": "GET"}, None, send)
    assert at_send == [layered.bulkheads, layered.bulkheads, 0]


@in_every_order
def test_connections_are_closed_by_answers_that_start_while_the_server_drains(order: tuple[str, ...]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        layered.server.draining = scope["drains"]  # while this request is in flight
        await answer(send)

    layered = Layered(app, order)

    def connection(drains: bool, version: str) -> list[str]:
        said = anyio.run(lambda: ask(layered.app, http_version=version, drains=drains))
        return [value for name, value in said.headers.items() if name.lower() == "connection"]

    closes = ["close"] if "registered" in order else ["keep-alive"]
    assert connection(False, "1.1") == ["keep-alive"]
    assert connection(True, "1.1") == connection(True, "1.0") == closes
    assert connection(True, "2") == ["keep-alive"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("order", [order for order in ORDERS if "bulkhead" in order], ids=" ".join)
def test_one_request_is_inside_at_a_time_and_the_others_are_refused(order: tuple[str, ...], backend: str) -> None:
    async def run() -> None:
        go_on, first = anyio.Event(), AsgiAnswer()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await go_on.wait()
            await answer(send)

        layered = Layered(app, order)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, layered.app, first)
            await eventually_async(lambda: layered.held()[0] == layered.bulkheads)
            assert (await ask(layered.app)).status == 503
            go_on.set()
        assert first.status == 201
        assert layered.held() == (0, layered.bulkheads)

    anyio.run(run, backend=backend)


def test_a_layer_whose_call_somebody_has_changed_is_called_as_it_is() -> None:
    asked = []

    class Excepting(Bulkhead):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            asked.append(scope["path"])
            await super().__call__(scope, receive, send)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)

    anyio.run(ask, ServedAsgi(Excepting(app), ServedCounts(), None))
    assert asked == ["/"]


def test_a_layer_in_between_may_ask_again_though_there_is_one_place() -> None:
    tries = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tries.append(layered.held()[0])
        if len(tries) == 1:
            raise ConnectionError("for once")
        await answer(send)

    class Retrying(Layered):
        def passing(self, app: Any) -> Any:
            async def layer(scope: Any, receive: Any, send: Any) -> None:
                try:
                    await app(scope, receive, send)
                except ConnectionError:
                    await app(scope, receive, send)

            return layer

    layered = Retrying(app, ("counted", "passing", "bulkhead", "registered"))
    assert anyio.run(ask, layered.app).status == 201
    assert tries == [1, 1]
    assert layered.held() == (0, 2)
    assert layered.answered() == [{"201": 1}]


@in_every_order
@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_what_is_no_request_gets_the_send_of_its_server(order: tuple[str, ...], kind: str) -> None:
    passed = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])
        assert layered.held() == (0, 0)
        await send({"type": "any"})

    layered = Layered(app, order)
    anyio.run(lambda: ask(layered.app, type=kind))
    assert passed == [kind]
    assert layered.answered() == [{}] * len(layered.counts)
