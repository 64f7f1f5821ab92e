"""How many requests at a time get into an application, and what the others are told."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import anyio
import pytest
from prometheus_client import CollectorRegistry
from support.asgi_requests import AsgiAnswer, ask
from support.scripted import ScriptedPlugin, settings
from support.waiting import eventually, eventually_async

import pydoudou
from pydoudou.contrib.prometheus import Metrics
from pydoudou.contrib.protection import asgi, wsgi
from pydoudou.contrib.protection.once import PerLoop

NAMES = ("places", "in_flight", "waiting", "entered_total", "refused_total")
BACKENDS = ["asyncio", "trio"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _no_counts_of_other_tests() -> None:
    gc.collect()


def counted(name: str = "default") -> dict[str, float]:
    """What Prometheus is told of the bulkhead."""
    collectors = CollectorRegistry()
    metrics = Metrics().register(collectors)
    try:
        values = {each: collectors.get_sample_value(f"pydoudou_bulkhead_{each}", {"name": name}) for each in NAMES}
    finally:
        metrics.unregister(collectors)
    return {each: value for each, value in values.items() if value is not None}


class Held:
    """An ASGI application whose requests stay until they may go on.

    Attributes:
        inside: how many there are now.
        most: how many there were at once.
    """

    def __init__(self) -> None:
        self.go_on = anyio.Event()
        self.inside = self.most = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.go_on.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"done"})
        finally:
            self.inside -= 1


def test_requests_wait_for_a_place_and_get_it_in_turn(backend: str) -> None:
    async def run() -> None:
        inner, answers = Held(), [AsgiAnswer() for _ in range(6)]
        app = asgi.Bulkhead(inner, 2, 10.0)
        async with anyio.create_task_group() as tasks:
            for answer in answers:
                tasks.start_soon(ask, app, answer)
            await eventually_async(lambda: counted()["waiting"] == 4)
            assert counted() == {"places": 2, "in_flight": 2, "waiting": 4, "entered_total": 2, "refused_total": 0}
            inner.go_on.set()
        assert [answer.status for answer in answers] == [200] * 6
        assert inner.most == 2
        assert counted() == {"places": 2, "in_flight": 0, "waiting": 0, "entered_total": 6, "refused_total": 0}

    anyio.run(run, backend=backend)


def test_each_event_loop_has_places_of_its_own_whichever_asked_last(backend: str) -> None:
    places: PerLoop[object] = PerLoop(object)
    found: dict[str, list[object]] = {"one": [], "other": []}
    turns = {"one": threading.Event(), "other": threading.Event()}

    async def ask_by_turns(me: str, next_one: str) -> None:
        for _ in range(3):
            await anyio.to_thread.run_sync(turns[me].wait, 10)
            turns[me].clear()
            found[me].append(places.get())
            turns[next_one].set()

    other = threading.Thread(target=lambda: anyio.run(ask_by_turns, "other", "one", backend=backend))
    other.start()
    turns["one"].set()
    anyio.run(ask_by_turns, "one", "other", backend=backend)
    other.join()
    assert [len(set(each)) for each in found.values()] == [1, 1]
    assert found["one"][0] is not found["other"][0]


@pytest.mark.parametrize("longest_wait", [0, 0.05])
def test_who_gets_no_place_in_time_is_refused(longest_wait: float, backend: str) -> None:
    async def run() -> None:
        inner = Held()
        app = asgi.Bulkhead(inner, 1, longest_wait, service="orders")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, app)
            await eventually_async(lambda: inner.inside == 1)
            refused = await ask(app)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert refused.headers["x-doudou-not-processed"] == "orders"
            assert refused.body == b"too many requests are under way\n"
            assert counted()["refused_total"] == 1
            assert counted()["waiting"] == 0
            inner.go_on.set()

    anyio.run(run, backend=backend)


def test_as_go_doudou_a_refusal_is_429_and_no_more() -> None:
    async def run() -> None:
        inner = Held()
        app = asgi.Bulkhead(inner, 1, 0, service="orders", compatible=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, app)
            await eventually_async(lambda: inner.inside == 1)
            refused = await ask(app)
            assert (refused.status, refused.body) == (429, b"too many requests\n")
            assert set(refused.headers) == {"content-type", "content-length"}
            inner.go_on.set()

    anyio.run(run)


@pytest.mark.parametrize(("registered", "named"), [("stock_rest", "stock"), ("库存", None)])
def test_the_service_that_did_nothing_is_the_one_that_the_default_registry_registers(
    registered: str, named: str | None
) -> None:
    async def full(scope: Any, receive: Any, send: Any) -> None:
        refused = await ask(app)
        said.append(refused.headers.get("x-doudou-not-processed"))

    said: list[str | None] = []
    app = asgi.Bulkhead(full, 1, 0)
    anyio.run(ask, app)
    own = settings(ScriptedPlugin(), register=True, service_name=registered, register_host="127.0.0.1")
    pydoudou.new_node(settings=own)
    try:
        anyio.run(ask, app)
    finally:
        pydoudou.shutdown()
    assert said == [None, named]


@pytest.mark.parametrize("waits", [False, True], ids=["in its place", "while it waits"])
def test_who_is_cancelled_gives_the_place_back(waits: bool, backend: str) -> None:
    async def run() -> None:
        inner = Held()
        app = asgi.Bulkhead(inner, 1, 10.0)
        async with anyio.create_task_group() as tasks:
            if waits:
                tasks.start_soon(ask, app)
                await eventually_async(lambda: inner.inside == 1)
            scope = anyio.CancelScope()
            tasks.start_soon(_cancelled, scope, app)
            await eventually_async(lambda: counted()["waiting" if waits else "in_flight"] == 1)
            scope.cancel()
            await eventually_async(lambda: counted()["waiting" if waits else "in_flight"] == 0)
            inner.go_on.set()
        assert (await ask(app)).status == 200
        assert counted()["in_flight"] == 0

    async def _cancelled(scope: anyio.CancelScope, app: Any) -> None:
        with scope:
            await ask(app)

    anyio.run(run, backend=backend)


def test_who_hangs_up_waits_no_more_and_nothing_is_done_for_it(backend: str) -> None:
    async def run() -> None:
        inner, hangs_up, unheard = Held(), anyio.Event(), AsgiAnswer()
        app = asgi.Bulkhead(inner, 1, 60.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, app)
            await eventually_async(lambda: inner.inside == 1)
            tasks.start_soon(lambda: ask(app, unheard, hangs_up=hangs_up))
            await eventually_async(lambda: counted()["waiting"] == 1)
            hangs_up.set()
            await eventually_async(lambda: counted()["waiting"] == 0)
            assert counted()["refused_total"] == 0
            inner.go_on.set()
        assert unheard.status == 0
        assert counted()["entered_total"] == 1
        assert (await ask(app)).status == 200

    anyio.run(run, backend=backend)


@pytest.mark.parametrize("parts", [(b"",), (b"all",), (b"a", b"b", b"c")])
def test_an_application_gets_the_whole_body_of_a_request_that_waited(parts: tuple[bytes, ...], backend: str) -> None:
    bodies: list[bytes] = []
    full = anyio.Event()

    async def reading(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/first":
            await full.wait()
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def run() -> None:
        app = asgi.Bulkhead(reading, 1, 60.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: ask(app, path="/first"))
            await eventually_async(lambda: counted()["in_flight"] == 1)
            tasks.start_soon(lambda: ask(app, body=parts))
            await eventually_async(lambda: counted()["waiting"] == 1)
            await anyio.wait_all_tasks_blocked()
            full.set()

    anyio.run(run, backend=backend)
    assert bodies == [b"", b"".join(parts)]


def test_an_application_that_fails_gives_the_place_back() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("no such item")

    app = asgi.Bulkhead(failing, 1, 0)
    for _ in range(2):
        with pytest.raises(LookupError):
            anyio.run(ask, app)
    assert counted()["in_flight"] == 0


def test_a_place_is_held_until_the_body_has_been_sent_and_no_longer() -> None:
    held: list[float] = []

    async def streaming(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for more in (True, True, False):
            held.append(counted()["in_flight"])
            await send({"type": "http.response.body", "body": b"x", "more_body": more})
        held.append(counted()["in_flight"])  # work after the answer

    assert anyio.run(ask, asgi.Bulkhead(streaming, 1)).body == b"xxx"
    assert held == [1, 1, 1, 0]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_what_is_no_request_passes_through(kind: str) -> None:
    passed: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])
        assert counted()["in_flight"] == 0

    for app in (asgi.Bulkhead(inner, 1), asgi.RateLimit(inner, "1/d")):
        anyio.run(lambda app=app: ask(app, type=kind))
        anyio.run(lambda app=app: ask(app, type=kind))
    assert passed == [kind] * 4


class Slow:
    """A WSGI application whose requests stay until they may go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        assert self.go_on.wait(20)
        start_response("200 OK", [])
        return [b"done"]


def call(app: Any, **environ: str) -> tuple[str, dict[str, str], bytes]:
    """Status, headers and body, as a server would get them."""
    said: list[Any] = []
    request = {"REQUEST_METHOD": "GET", "REMOTE_ADDR": "192.0.2.1", **environ}
    body = app(request, lambda status, headers, *rest: said.extend((status, dict(headers))))
    try:
        content = b"".join(body)
        return said[0], said[1], content
    finally:
        if hasattr(body, "close"):
            body.close()


def in_threads(number: int, work: Callable[[], Any]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads


def test_wsgi_requests_wait_for_a_place_and_are_refused_without() -> None:
    inner, answered = Slow(), []
    app = wsgi.Bulkhead(inner, 2, 10.0, service="orders")
    threads = in_threads(5, lambda: answered.append(call(app)[0]))
    eventually(lambda: counted()["waiting"] == 3)
    assert counted()["in_flight"] == 2
    inner.go_on.set()
    for thread in threads:
        thread.join(10)
    assert answered == ["200 OK"] * 5
    assert counted() == {"places": 2, "in_flight": 0, "waiting": 0, "entered_total": 5, "refused_total": 0}


@pytest.mark.parametrize("longest_wait", [0, 0.05])
def test_a_wsgi_request_that_gets_no_place_in_time_is_refused(longest_wait: float) -> None:
    inner = Slow()
    app = wsgi.Bulkhead(inner, 1, longest_wait, service="orders")
    (first,) = in_threads(1, lambda: call(app))
    eventually(lambda: counted()["in_flight"] == 1)
    status, headers, body = call(app)
    assert (status, body) == ("503 Service Unavailable", b"too many requests are under way\n")
    assert (headers["retry-after"], headers["x-doudou-not-processed"]) == ("1", "orders")
    inner.go_on.set()
    first.join(10)
    assert call(app)[0] == "200 OK"


def test_a_wsgi_place_is_held_until_the_answer_is_closed() -> None:
    def streaming(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield from (b"a", b"b")

    app = wsgi.Bulkhead(streaming, 1, 0)
    body = app({"REQUEST_METHOD": "GET"}, lambda *said: None)
    assert list(body) == [b"a", b"b"]
    assert counted()["in_flight"] == 1
    for _ in range(2):  # a second close gives nothing back
        body.close()
    assert counted()["in_flight"] == 0

    def failing(environ: Any, start_response: Any) -> Iterable[bytes]:
        raise LookupError("no such item")

    assert call(app)[0] == "200 OK"
    broken = wsgi.Bulkhead(failing, 1, 0)
    for _ in range(2):
        with pytest.raises(LookupError):
            call(broken)


def test_a_file_stays_what_the_server_has_made_of_it_and_a_list_has_its_length(tmp_path: Path) -> None:
    """Servers send a file by sendfile, and tell the length of an answer in one piece."""
    (tmp_path / "file").write_bytes(b"content")
    file = (tmp_path / "file").open("rb")

    def inner(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return FileWrapper(file) if environ["PATH_INFO"] == "/file" else [b"one piece"]

    app = Metrics().wsgi(wsgi.Bulkhead(inner, 1, 0))
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.file_wrapper": FileWrapper}
    body: Any = app(environ, lambda *said: None)
    assert (len(body), *body) == (1, b"one piece")
    body.close()
    sent: Any = app({**environ, "PATH_INFO": "/file"}, lambda *said: None)
    assert isinstance(sent, FileWrapper)
    assert list(sent) == [b"content"]
    assert (file.closed, counted()["in_flight"]) == (False, 1)
    sent.close()
    assert (file.closed, counted()["in_flight"]) == (True, 0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_has_all_places_and_counts_of_its_own() -> None:
    inner = Slow()
    app = wsgi.Bulkhead(inner, 1, 0)
    (first,) = in_threads(1, lambda: call(app))
    eventually(lambda: counted()["in_flight"] == 1)
    child = os.fork()
    if child == 0:
        inner.go_on.set()
        before = counted()
        os._exit(0 if call(app)[0] == "200 OK" and before["in_flight"] == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    inner.go_on.set()
    first.join(10)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"workers": 0}, "workers is 0; accepted: 1 or more"),
        ({"workers": 1.5}, "workers is a float; accepted: a whole number, 1 or more"),
        ({"workers": True}, "workers is a bool"),
        ({"longest_wait": -1}, "longest_wait is -1; accepted: seconds, 0 or more"),
        ({"longest_wait": float("nan")}, "longest_wait is nan"),
        ({"longest_wait": "1s"}, "longest_wait is a str"),
        ({"name": "a b"}, "name is 'a b'; accepted: letters, digits and ._-"),
        ({"name": ""}, "name is ''"),
        ({"name": 1}, "name is a int"),
        ({"service": None}, "service is a NoneType"),
        ({"service": "a\r\nb"}, "service is"),
    ],
)
@pytest.mark.parametrize("module", [asgi, wsgi])
def test_an_argument_that_cannot_be_used_is_named(module: Any, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        module.Bulkhead(None, **arguments)
    assert str(caught.value).startswith(named)
