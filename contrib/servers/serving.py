"""The part that every integration with an asynchronous server has in common: from its startup to its shutdown."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import attrs

from ...discovery import default_registry
from ...discovery.settings import Settings
from .arguments import check_arguments
from .registered_above import registered_above
from .registrar import among_workers, is_worker
from .server import RegisteredServer
from .signals import DrainFirst, TwiceIsOnce

__all__ = ["serving"]


@contextlib.asynccontextmanager
async def serving(
    data: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    check: str = "/",
    scheme: str = "http",
    drain: float | None = None,
    on_sigterm: bool = True,
) -> AsyncIterator[RegisteredServer | None]:
    """The process's default registry for as long as the block runs; registered once the server answers.

    SIGTERM has it leave and serve on before the server's own handler is called, where there is one. Behind
    `pydoudou run`, which registers the server and drains it, the registry only looks, and there is no
    `RegisteredServer`. Whoever uses this tells that server of requests (`RegisteredServer.recognise`) while it is
    doubtful.

    Args:
        data: the metadata to register; flat, with text for keys.
        settings: instead of those of the environment.
        check: the path that is asked, at the advertised address; any status below 500 will do.
        scheme: http or https.
        drain: seconds to serve on after leaving; None: as `Registry.drain`.
        on_sigterm: False leaves the signal to the caller.

    Raises:
        SettingsError: names every variable that cannot be used.
        TypeError, ValueError: an argument cannot be used.
        DiscoveryError: as `Registry.start`.
    """
    check_arguments(data, settings, check, scheme, drain)
    # SIGTERM is ours, and has to be answered by more than leaving.
    chosen = among_workers(attrs.evolve(settings or Settings.from_env(), leave_on_sigterm=False))
    above = registered_above(chosen)
    registry = await default_registry.new_node_async(data, settings=chosen, register=not above, announce=False)
    try:
        if above:
            yield None
            return
        # A port that several workers share was opened before they were started, and any of them may be asked.
        server = RegisteredServer(registry, check, scheme=scheme, drain=drain, doubtful=not is_worker())
        drain_first = DrainFirst(TwiceIsOnce(server) if is_worker() else server)
        if on_sigterm:
            drain_first.set()
        server.start()
        try:
            yield server
        finally:
            drain_first.take_back()
            await registry.stop_async()  # first: it ends a drain that still waits
            server.stop()
    finally:
        await registry.stop_async()
