"""What a request costs that is counted and gets a place at once, in functions that are called.

Seconds depend on what else the machine does. Those of any library count, for a lock or a limiter of another's costs as
much as one of ours; a coroutine counts each time that it goes on. The numbers below are the most there may be: who
needs one more says in the commit what for.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

import pytest

from pydoudou.contrib.asgi import closing_connections
from pydoudou.contrib.prometheus import Metrics
from pydoudou.contrib.protection import asgi, wsgi

WARM, COUNTED = 20, 20
SCOPE = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/", "headers": []}
ENVIRON = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}


class Functions:
    """Those that are called in a block in this thread, but for those of this module."""

    def __enter__(self) -> Functions:
        self.called: list[str] = []
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_globals is not globals():
            self.called.append(frame.f_code.co_qualname)


def of_asgi(app: Any) -> int:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        pass

    async def count() -> list[int]:
        for _ in range(WARM):
            await app(dict(SCOPE), receive, send)
        numbers = []
        for _ in range(COUNTED):
            with Functions() as functions:
                await app(dict(SCOPE), receive, send)
            numbers.append(len(functions.called))
        return numbers

    return statistics.median_low(asyncio.run(count()))


def of_wsgi(app: Any) -> int:
    def ask() -> None:
        body = app(dict(ENVIRON), lambda *said: None)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()

    numbers = []
    for number in range(WARM + COUNTED):
        with Functions() as functions:
            ask()
        if number >= WARM:
            numbers.append(len(functions.called))
    return statistics.median_low(numbers)


async def asgi_hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def wsgi_hello(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])

    def streamed() -> Iterator[bytes]:
        yield b"hello"

    return streamed()


class Server:
    """A registered one that stays."""

    doubtful = draining = False


def registered() -> Any:
    return closing_connections(asgi_hello, Server)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrap", "most"),
    [
        pytest.param(lambda: Metrics().asgi(asgi_hello), 5, id="counted"),
        pytest.param(lambda: asgi.Bulkhead(asgi_hello), 10, id="bulkhead"),
        pytest.param(registered, 3, id="registered"),
        pytest.param(lambda: Metrics().asgi(asgi.Bulkhead(asgi_hello)), 11, id="counted bulkhead"),
        pytest.param(lambda: Metrics().asgi(asgi.Bulkhead(registered())), 12, id="counted bulkhead, registered"),
    ],
)
def test_an_asgi_request_takes_no_more_functions_than_this(wrap: Callable[[], Any], most: int) -> None:
    assert 0 < of_asgi(wrap()) <= most


@pytest.mark.parametrize(
    ("wrap", "most"),
    [
        pytest.param(lambda: Metrics().wsgi(wsgi_hello), 8, id="counted"),
        pytest.param(lambda: wsgi.Bulkhead(wsgi_hello), 9, id="bulkhead"),
        pytest.param(lambda: Metrics().wsgi(wsgi.Bulkhead(wsgi_hello)), 12, id="counted bulkhead"),
    ],
)
def test_a_wsgi_request_takes_no_more_functions_than_this(wrap: Callable[[], Any], most: int) -> None:
    assert 0 < of_wsgi(wrap()) <= most
