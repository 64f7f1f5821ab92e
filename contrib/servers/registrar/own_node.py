"""A registrar within the process that it serves, where none can be shared: the same hub, at the other end of a pair of
sockets.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

import anyio
import attrs
from anyio import to_thread

from ....discovery.registry import Registry
from ....discovery.settings import Settings
from .hub import Hub
from .starting import Found, greet
from .wire import Wire

__all__ = ["registrar_of_its_own"]


@contextlib.asynccontextmanager
async def registrar_of_its_own(settings: Settings) -> AsyncIterator[Found]:
    """It runs for as long as the block does.

    Raises:
        DiscoveryError: as `Registry.start`.
    """
    registry = Registry(attrs.evolve(settings, leave_on_sigterm=False))
    hub = Hub(registry, "", "this process", _nobody_else_comes, shared=False)
    ours, theirs = map(Wire, socket.socketpair())
    try:
        await to_thread.run_sync(lambda: registry.start(announce=False))
        await hub.begin()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.run)
            tasks.start_soon(hub.serve, theirs, 0)
            yield await greet(ours, "", settings.register)
            tasks.cancel_scope.cancel()
    finally:
        ours.close()
        theirs.close()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(registry.stop)


def _nobody_else_comes() -> None:
    """It has no lock and no socket to give up."""
