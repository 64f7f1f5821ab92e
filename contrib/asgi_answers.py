"""The answer to one request of an ASGI server, and what layers of this library have to do when it is sent.

A layer costs a request two things: a function around `send` for every message, and a coroutine that waits for the
application. Both may be shared. What lies directly in another layer is called by it with its `Answer`; what lies deeper
and gets the very `send` of an `Answer` adds itself to that. Where somebody else's layer in between wraps `send`, each
has its own.
"""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

__all__ = ["Answer", "AnsweringLayer", "AsgiApp", "Message", "Receive", "Send", "closing"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

_CLOSE = (b"connection", b"close")


class Draining(Protocol):
    """A server that may be about to stop."""

    draining: bool


class Held(Protocol):
    """Where a request has a place."""

    def give_back(self) -> None:
        """It is done."""


class Answer:
    """One answer on its way to the server.

    Attributes:
        status: that was sent; 500 before.
        places: where it holds a place, until its last message goes to the server; None: nowhere, or no more.
        server: whose connections it closes, if that drains when it starts.
        scope: of the request, if there is a `server`.
    """

    # Of the class, so that only what differs costs a request anything.
    status = 500
    places: Held | None = None
    server: Draining | None = None
    scope: Message

    def __init__(self, send: Send) -> None:
        self._send = send

    # A plain function, whose caller awaits what it gives: a coroutine in between costs a microsecond.
    def send(self, message: Message) -> Awaitable[None]:
        """In place of the server's."""
        kind, places = message["type"], self.places
        if kind == "http.response.start":
            self.status = message["status"]
            if self.server is not None and self.server.draining:
                message = closing(message, self.scope)
        elif places is not None and kind == "http.response.body" and not message.get("more_body"):
            self.places = None
            places.give_back()
        return self._send(message)

    def give_back(self) -> None:
        """It holds no place from now on."""
        places = self.places
        if places is not None:
            self.places = None
            places.give_back()


class AnsweringLayer(abc.ABC):
    """A layer around `app` that can share the `Answer` of the layer directly around it."""

    app: AsgiApp

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = Answer(send)
        try:
            await self.inside(scope, receive, answer)
        finally:
            if answer.places is not None:
                answer.give_back()

    @abc.abstractmethod
    def inside(self, scope: Message, receive: Receive, answer: Answer) -> Awaitable[None]:
        """Have the application answer; who calls has `answer` give back what it holds after that."""

    @classmethod
    def shared(cls, app: AsgiApp) -> AnsweringLayer | None:
        """`app`, if it can be called by `inside`; not if somebody has made something else of its `__call__`."""
        return app if isinstance(app, AnsweringLayer) and type(app).__call__ is AnsweringLayer.__call__ else None


def closing(message: Message, scope: Message) -> Message:
    """The start of an answer, which ends its connection: HTTP/2 and newer have another way to say so."""
    if scope.get("http_version") not in ("1.0", "1.1"):
        return message
    others = [header for header in message.get("headers", ()) if header[0].lower() != b"connection"]
    return {**message, "headers": [*others, _CLOSE]}
