"""The page as an ASGI application, with a stream of events for each browser that has it open."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from ...discovery.arguments import checked_mapping
from ...discovery.registry import Registry
from ..asgi_answers import AsgiApp
from ..wsgi_answers import WsgiApp
from .document import Stream
from .messages import PREFIX, Answer, Request, as_json, text_answer
from .routes import EVENTS, Routes
from .selection import Wish
from .wsgi import WsgiPage

__all__ = ["TICK", "RegistryPage"]

T = TypeVar("T")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_THREADS = 4
"""That look things up for the page: it never takes those of the application it is mounted in."""
_MOST_STREAMS = 64
_MOST_HELD_BACK = 64
"""Answers to wrong passwords that wait; those beyond it are answered at once, with 429."""
_LOOK_AT_SERVER = 0.25
TICK = 1.0
"""Seconds between looks for what is new to whoever looks."""
_ALIVE_EVERY = 15.0
_LONGEST_STREAM = 600.0
"""Seconds; the browser opens the next one by itself. A server that is to end waits for its streams, and not all of them
can be asked whether that is so.
"""


class RegistryPage:
    """The page of a registry, at ``registry`` below where it is mounted, and at ``/go-doudou/registry`` alone.

    ::

        app.mount("/go-doudou", RegistryPage())                                 # FastAPI, Starlette
        application = RegistryPage().beside(get_asgi_application())             # Django, or any other ASGI application
        application = RegistryPage().beside_wsgi(get_wsgi_application())        # the same for WSGI
        app.wsgi_app = RegistryPage().beside_wsgi(app.wsgi_app)                 # Flask

    Who may look is said by ``GDD_MANAGE_USER`` and ``GDD_MANAGE_PASS``; without them only who sits at this machine. Of
    several registries the settings of the first one count.

    Args:
        registries: one, or several by name; None for the default one, whichever runs: this may be made before
            `new_node()`.
    """

    def __init__(self, registries: Registry | Mapping[str, Registry] | None = None) -> None:
        if isinstance(registries, Registry):
            registries = {"": registries}
        elif registries is not None:
            checked_mapping("registries", registries)
            registries = dict(registries)
            wrong = [name for name, each in registries.items() if not isinstance(each, Registry)]
            if wrong or not registries:
                raise TypeError(f"registries has no Registry under {wrong}" if wrong else "registries is empty")
        self._routes = Routes(registries)
        self._limiter: CapacityLimiter | None = None
        self._held_back = 0
        self.wsgi: WsgiApp = WsgiPage(self._routes)

    def beside(self, app: AsgiApp) -> AsgiApp:
        """`app`, with the page at ``/go-doudou/``."""

        async def both(scope: Message, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and f"{_path(scope)}/".startswith(f"{PREFIX}/"):
                await self(scope, receive, send)
            else:
                await app(scope, receive, send)

        return both

    def beside_wsgi(self, app: WsgiApp) -> WsgiApp:
        """The same for WSGI, where the page polls."""

        def both(environ: dict[str, Any], start_response: Any) -> Any:
            page = f"{environ.get('PATH_INFO', '')}/".startswith(f"{PREFIX}/")
            return (self.wsgi if page else app)(environ, start_response)

        return both

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            request = _request(scope)
            if request.path == EVENTS and request.method == "GET":
                await self._stream(request, receive, send)
            else:
                # Here and not in a thread: guesses of passwords keep none busy, behind which a right one would wait.
                answer = self._routes.refusal(request)
                if answer is None:
                    answer = await self._in_thread(partial(self._routes.found, request, live=True))
                await self._send(request, answer, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _in_thread(self, function: Callable[[], T]) -> T:
        if self._limiter is None:
            self._limiter = CapacityLimiter(_THREADS)
        return await to_thread.run_sync(function, limiter=self._limiter)

    async def _send(self, request: Request, answer: Answer, send: Send) -> None:
        if answer.held_back:
            if self._held_back >= _MOST_HELD_BACK:
                wait = str(max(1, round(answer.held_back)))
                answer = text_answer(429, "Too many wrong passwords.", retry_after=wait)
            else:
                self._held_back += 1
                try:
                    await _until_later(answer.held_back)
                finally:
                    self._held_back -= 1
        await send(_start(answer.status, answer.all_headers()))
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body})

    async def _stream(self, request: Request, receive: Receive, send: Send) -> None:
        refused = self._routes.refusal(request)
        if refused is not None:
            await self._send(request, refused, send)
            return
        with self._routes.looking.viewing(_MOST_STREAMS) as welcome:
            if not welcome:
                await self._send(request, text_answer(503, "Too many look already.", retry_after="5"), send)
                return
            headers = {**Answer(200).all_headers(), "content-type": "text/event-stream", "x-accel-buffering": "no"}
            del headers["content-length"]
            await send(_start(200, headers))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
                await self._tell(request, send)
                tasks.cancel_scope.cancel()

    async def _tell(self, request: Request, send: Send) -> None:
        """Send what is new until the browser is gone, the server ends, or whoever looks may not any more."""
        stream, began, said = Stream(Wish.of(request.query)), time.monotonic(), time.monotonic()
        while time.monotonic() - began < _LONGEST_STREAM and not _server_ends():
            news = await self._in_thread(partial(self._news, request, stream))
            if news == b"":
                break
            if news is not None or time.monotonic() - said >= _ALIVE_EVERY:
                said = time.monotonic()
                await send({"type": "http.response.body", "body": news or b":\n\n", "more_body": True})
            await anyio.sleep(TICK)
        await send({"type": "http.response.body", "body": b""})

    def _news(self, request: Request, stream: Stream) -> bytes | None:
        """What is new, None for nothing, empty at the end."""
        routes = self._routes
        if routes.refusal(request) is not None or routes.ending:
            return b""
        routes.looking.glance()
        routes.table.refresh()
        told = stream.news(routes.table, routes.notice)
        return None if told is None else b"retry: 1000\ndata: " + as_json(told) + b"\n\n"


def _path(scope: Message) -> str:
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path.removeprefix(root) if path == root or path.startswith(f"{root}/") else path


def _request(scope: Message) -> Request:
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        headers[name] = f"{headers[name]},{text}" if name in headers else text
    client = scope.get("client")
    query = scope.get("query_string", b"").decode("latin-1")
    root = str(scope.get("root_path", "")).rstrip("/")
    return Request.of(scope["method"], _path(scope), root, query, headers, client[0] if client else "")


def _start(status: int, headers: Mapping[str, str]) -> Message:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


def _server_ends() -> bool:
    """Whether uvicorn was told to end: it would wait for the stream, and does not tell it. Its handler is its server's
    method while it serves.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))


async def _until_later(seconds: float) -> None:
    """After so long, or when the server ends: it would cancel whoever waits, and log each with a traceback."""
    looks = math.ceil(seconds / _LOOK_AT_SERVER)
    for _ in range(looks):
        if _server_ends():
            return
        await anyio.sleep(seconds / looks)


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _live(receive: Receive, send: Send) -> None:
    """The lifespan of a page that is served alone."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
