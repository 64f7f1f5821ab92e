"""Any ASGI application, registered while its server answers.

::

    from pydoudou.contrib.asgi import Registered

    app = Registered(get_asgi_application())   # Django, say, which has no lifespan of its own

What is registered, and with whom, are the variables GDD_*; GDD_PORT is the port that the server listens on.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Mapping
from typing import Any

from ..discovery.settings import Settings
from .asgi_answers import Answer, Message, Receive, Send, closing
from .asgi_answers import AsgiApp as App
from .servers.arguments import check_arguments
from .servers.server import RegisteredServer
from .servers.serving import serving

__all__ = ["Registered", "closing_connections"]


def closing_connections(app: App, server: RegisteredServer) -> App:
    """`app`, whose answers over HTTP/1.1 end their connection while `server` drains: the next request of that client
    goes elsewhere. It also tells `server` that it is called, as long as that wants to know.
    """

    # Plain functions, whose callers await what they give: each coroutine in between costs a microsecond. What rules out
    # fewest requests is looked at last.
    def answering(scope: Message, receive: Receive, send: Send) -> Awaitable[None]:
        if server.doubtful and scope["type"] == "http":
            agents = (value for name, value in scope.get("headers", ()) if name.lower() == b"user-agent")
            server.recognise(next(agents, b"").decode("latin-1"))
        answer = getattr(send, "__self__", None)
        if isinstance(answer, Answer) and answer.server is None:
            answer.server, answer.scope = server, scope
            return app(scope, receive, send)

        def sending(message: Message) -> Awaitable[None]:
            if server.draining and message["type"] == "http.response.start":
                message = closing(message, scope)
            return send(message)

        return app(scope, receive, sending)

    return answering


class Registered:
    """The application `app`, registered from the moment it answers; leaves, and serves on, when SIGTERM comes.

    It answers the server's lifespan for an application that has none. The default registry runs from before the
    application's own startup until after its shutdown. A registry that cannot start is a startup that failed.

    Args:
        data: the metadata to register; flat, with text for keys.
        settings: instead of those of the environment, which are read at startup.
        check: the path that is asked, at the advertised address; any status below 500 will do.
        scheme: http or https.
        drain: seconds to serve on after leaving; None: as `Registry.drain`.

    Attributes:
        server: what says how the registration is doing (`RegisteredServer.status`); None before startup.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """

    def __init__(
        self,
        app: App,
        data: Mapping[str, Any] | None = None,
        *,
        settings: Settings | None = None,
        check: str = "/",
        scheme: str = "http",
        drain: float | None = None,
    ) -> None:
        check_arguments(data, settings, check, scheme, drain)
        self.app = app
        self.server: RegisteredServer | None = None
        self._serving = functools.partial(serving, data, settings=settings, check=check, scheme=scheme, drain=drain)
        self._answering = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._answering(scope, receive, send)

    async def _live(self, scope: Message, receive: Receive, send: Send) -> None:
        startup = await receive()
        registered = self._serving()
        try:
            self.server = server = await registered.__aenter__()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            return
        if server is not None:
            self._answering = closing_connections(self.app, server)
        try:
            ended = await self._live_inside(scope, startup, receive, send)
        finally:
            await registered.__aexit__(None, None, None)
        await send(ended)

    async def _live_inside(self, scope: Message, startup: Message, receive: Receive, send: Send) -> Message:
        """The application's own lifespan, or ours in its place; returns the message that ends it."""
        first: list[Message] = [startup]
        said: list[Message] = []

        async def receiving() -> Message:
            return first.pop() if first else await receive()

        async def sending(message: Message) -> None:
            said.append(message)
            if message["type"] == "lifespan.startup.complete":
                await send(message)

        try:
            await self.app(scope, receiving, sending)
        except Exception:
            if said:
                await self._pass_on_failure(said[-1], send)
                raise
        if not said:  # it has no lifespan
            await send({"type": "lifespan.startup.complete"})
        if not said or said[-1]["type"] == "lifespan.startup.complete":
            await receive()
            return {"type": "lifespan.shutdown.complete"}
        return said[-1]

    @staticmethod
    async def _pass_on_failure(last: Message, send: Send) -> None:
        """An application may say that it failed, and raise."""
        if last["type"] != "lifespan.startup.complete":
            await send(last)
