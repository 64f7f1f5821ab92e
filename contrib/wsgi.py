"""Any WSGI application, registered while a server of one process calls it.

::

    from pydoudou.contrib.wsgi import Registered

    app = Registered(app)   # waitress-serve, a development server, …

Servers with several processes register it by themselves: gunicorn by its hooks (`pydoudou.contrib.gunicorn`), all
others under `pydoudou run`; there this does nothing. What is registered, and with whom, are the variables GDD_*;
GDD_PORT is the port that the server listens on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..discovery.settings import Settings
from .servers.called import CalledServer

__all__ = ["Registered"]

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Registered:
    """The application `app`, registered in the process that calls it: importing it registers nothing.

    It asks its own address until it is called; then the process's default registry starts, and registers. At SIGTERM it
    leaves, and serves on until the others have heard; then the server's own handler is called. That needs an import in
    the main thread; in any other one, it leaves when the interpreter exits.

    Args:
        data: the metadata to register; flat, with text for keys.
        settings: instead of those of the environment.
        check: the path that is asked, at the advertised address; any status below 500 will do.
        scheme: http or https.
        drain: seconds to serve on after leaving; None: as `Registry.drain`.

    Attributes:
        server: says how the registration is doing (`CalledServer.status`), and ends it (`CalledServer.stop`).

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
        self.app = app
        self.server = CalledServer(data, settings=settings, check=check, scheme=scheme, drain=drain)
        self.server.ask()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.server.called()
        return self.app(environ, start_response)
