"""hypercorn in process, which leaves and serves on before it stops:

::

    from pydoudou.contrib.hypercorn import serve

    anyio.run(serve, app, config)   # in the place of hypercorn.asyncio.serve; or backend="trio"

hypercorn's command line runs under `pydoudou run`: its workers cannot hold the server open. What is registered, and
with whom, are the variables GDD_*; GDD_PORT is the port that hypercorn binds.
"""

from __future__ import annotations

import functools
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any

try:
    from hypercorn.config import Config
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "pydoudou.contrib.hypercorn needs hypercorn: pip install 'pydoudou[hypercorn]'"
    ) from error
import anyio

from ..discovery.settings import Settings
from .asgi import closing_connections
from .servers.server import RegisteredServer
from .servers.serving import serving

__all__ = ["serve"]


async def serve(
    app: Any,
    config: Config,
    *,
    shutdown_trigger: Callable[[], Awaitable[Any]] | None = None,
    data: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    check: str = "/",
    scheme: str = "http",
    drain: float | None = None,
) -> None:
    """hypercorn's `serve` for an ASGI application, on asyncio or trio; registered once it answers.

    The process's default registry runs meanwhile. SIGTERM, or your trigger, has it leave and serve on until the others
    have heard; then the server stops. A second SIGTERM, and SIGINT, stop it at once.

    Args:
        app: an ASGI application.
        config: hypercorn's.
        shutdown_trigger: ends the serving when it returns; None: SIGTERM and SIGINT do, which needs the main thread.
        data: the metadata to register; flat, with text for keys.
        settings: instead of those of the environment.
        check: the path that is asked, at the advertised address; any status below 500 will do.
        scheme: http or https.
        drain: seconds to serve on after leaving; None: as `Registry.drain`.

    Raises:
        SettingsError: names every variable that cannot be used.
        ValueError: the path or the scheme cannot be used.
        DiscoveryError: as `Registry.start`.
    """
    library = import_module("hypercorn.trio" if _on_trio() else "hypercorn.asyncio")
    async with serving(data, settings=settings, check=check, scheme=scheme, drain=drain, on_sigterm=False) as server:
        await library.serve(
            app if server is None else closing_connections(app, server),
            config,
            shutdown_trigger=functools.partial(_served_on, server, shutdown_trigger),
            mode="asgi",
        )


def _on_trio() -> bool:
    trio: Any = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


async def _served_on(server: RegisteredServer | None, trigger: Callable[[], Awaitable[Any]] | None) -> None:
    """Returns when the server is to stop: after it was told to, and has drained, or was told again."""
    if trigger is not None:
        await trigger()
        await _drained(server)
        return
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            if number == signal.SIGINT:
                return
            break
        async with anyio.create_task_group() as tasks:

            async def told_again() -> None:
                async for _ in signals:
                    tasks.cancel_scope.cancel()

            tasks.start_soon(told_again)
            await _drained(server)
            tasks.cancel_scope.cancel()


async def _drained(server: RegisteredServer | None) -> None:
    over = threading.Event()
    if server is not None and server.drain_soon(over.set):
        await anyio.to_thread.run_sync(over.wait, abandon_on_cancel=True)
