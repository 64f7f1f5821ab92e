"""A Starlette application, registered while its server answers.

::

    from pydoudou.contrib.starlette import lifespan

    app = Starlette(routes=routes, lifespan=lifespan())
    app = Starlette(routes=routes, lifespan=lifespan(my_own))   # composed with yours

What is registered, and with whom, are the variables GDD_*; GDD_PORT is the port that the server listens on.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from ..discovery.settings import Settings
from .asgi import closing_connections
from .servers.arguments import check_arguments
from .servers.serving import serving

__all__ = ["lifespan"]

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def lifespan(
    own: Lifespan | None = None,
    *,
    data: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    check: str = "/",
    scheme: str = "http",
    drain: float | None = None,
) -> Lifespan:
    """A lifespan for the application: the process's default registry runs, and registers once the server answers.

    At SIGTERM it leaves, the answers close their connections, and the server goes on serving until the others have
    heard; then its own handler is called.

    Args:
        own: your lifespan, which begins after ours and ends before it; what it yields is the application's state.
        data: the metadata to register; flat, with text for keys.
        settings: instead of those of the environment, which are read at startup.
        check: the path that is asked, at the advertised address; any status below 500 will do.
        scheme: http or https.
        drain: seconds to serve on after leaving; None: as `Registry.drain`.

    Raises:
        TypeError, ValueError: an argument cannot be used.
        Exception: in the application's startup, as `pydoudou.new_node`.
    """

    check_arguments(data, settings, check, scheme, drain)

    @contextlib.asynccontextmanager
    async def composed(app: Any) -> AsyncIterator[Any]:
        async with serving(data, settings=settings, check=check, scheme=scheme, drain=drain) as server:
            before = app.middleware_stack
            if server is not None:
                app.middleware_stack = closing_connections(before, server)
            try:
                async with contextlib.nullcontext() if own is None else own(app) as state:
                    yield state
            finally:
                app.middleware_stack = before

    return composed
