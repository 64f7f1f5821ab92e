"""The requests that a service answers, counted as go-doudou's services count theirs.

Its label ``path`` holds the path of the request, of which there is no end; here it is the pattern of the route.
"""

from __future__ import annotations

import contextlib
import operator
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any

from ..asgi_answers import Answer, AnsweringLayer, AsgiApp, Receive, Send
from ..asgi_answers import Message as Scope
from ..wsgi_answers import Answer as WsgiAnswer
from ..wsgi_answers import AnsweringLayer as WsgiLayer
from ..wsgi_answers import StartResponse, WsgiApp
from .calls import Durations
from .families import FAMILIES
from .reading import Reading

__all__ = ["Route", "ServedAsgi", "ServedCounts", "ServedWsgi"]

Route = Callable[[Any], str]
"""The pattern of a request's route, from its ASGI scope or its WSGI environment."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_MOST_ROUTES = 256
_FAILED = 500
_ADDED_UP_AFTER = 500
"""Requests: that takes a fraction of a millisecond."""
_ROUTE_IN_SCOPE: Callable[[Scope], Any] = operator.methodcaller("get", "route")


class ServedCounts:
    """How many requests were answered, and how long that took; for any thread.

    A method that is none of HTTP's is ``OTHER``; the path beyond 256 of them is empty.
    """

    def __init__(self) -> None:
        self._answered: deque[tuple[str, Any, int, float]] = deque()
        self.forget()

    def add(self, method: str, route: Any, status: int, seconds: float) -> None:
        """One more; `route` is its pattern, or what has that for its attribute ``path``."""
        # No lock, and nothing is added up yet: between two requests nothing is at hand for the processor, and a loop
        # over many of them is several times as fast.
        self._answered.append((method, route, status, seconds))
        if len(self._answered) > _ADDED_UP_AFTER:
            self._add_up()

    def _add_up(self) -> None:
        """Those that were answered since the last time."""
        # More may be answered meanwhile, and a signal handler that reads takes from them in between.
        with self._lock, contextlib.suppress(IndexError):
            for _ in range(len(self._answered)):
                method, route, status, seconds = self._answered.popleft()
                path = route if isinstance(route, str) else str(getattr(route, "path", ""))
                (self._rows.get((path, method, status)) or self._other(method, path, status)).add(seconds)

    def _other(self, method: str, route: str, status: int) -> Durations:
        """Of what has none, a new one; of another method and of a route too many, that of all such."""
        if method not in _METHODS:
            method = "OTHER"
        if len(self._routes) < _MOST_ROUTES:
            self._routes.add(route)
        elif route not in self._routes:
            route = ""
        return self._rows.setdefault((route, method, status), Durations())

    def forget(self) -> None:
        """Begin anew, in a process that was forked."""
        self._lock = threading.RLock()
        self._answered.clear()
        self._rows: dict[tuple[str, str, int], Durations] = {}
        self._routes: set[str] = set()

    def read(self) -> Iterator[Reading]:
        """All values of this moment."""
        with self._lock:
            self._add_up()
            rows = {key: row.plus(Durations()) for key, row in self._rows.items()}
        durations: dict[tuple[str, str], Durations] = {}  # whatever the status
        for (route, method, status), row in rows.items():
            yield FAMILIES["go_doudou_http_request_count"], (route, method, str(status)), row.count
            yield FAMILIES["http_requests_total"], (route,), row.count
            yield FAMILIES["response_status"], (str(status),), row.count
            durations[route, method] = row.plus(durations.get((route, method), Durations()))
        for timed, each in durations.items():
            yield FAMILIES["go_doudou_http_response_time_seconds"], timed, each
            yield FAMILIES["http_response_time_seconds"], timed[:1], each


class ServedAsgi:
    """An ASGI application whose requests are counted."""

    def __init__(self, app: AsgiApp, served: ServedCounts, route: Route | None) -> None:
        self._app, self._served, self._route = app, served, route or _ROUTE_IN_SCOPE
        self._layer = AnsweringLayer.shared(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, answer = perf_counter(), Answer(send)
        try:
            if self._layer is None:
                await self._app(scope, receive, answer.send)
            else:
                await self._layer.inside(scope, receive, answer)
        finally:
            if answer.places is not None:
                answer.give_back()
            self._served.add(scope["method"], self._route(scope), answer.status, perf_counter() - began)


class ServedWsgi:
    """A WSGI application whose requests are counted; the time ends when its answer is closed."""

    def __init__(self, app: WsgiApp, served: ServedCounts, route: Route | None) -> None:
        self._app, self._served, self._route = app, served, route
        self._layer = WsgiLayer.shared(app)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """See WSGI."""
        answer = WsgiAnswer(environ, start_response, self)
        try:
            if self._layer is None:
                body = self._app(environ, answer.start_response)
            else:
                body = self._layer.inside(environ, answer.start_response, answer)
            return answer.around(body)
        except BaseException:
            answer.close()
            raise

    def count(self, answer: WsgiAnswer, seconds: float) -> None:
        """See `Counting`."""
        environ, route = answer.environ, self._route
        self._served.add(environ["REQUEST_METHOD"], "" if route is None else route(environ), answer.status, seconds)
