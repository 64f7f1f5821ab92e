"""A registrar within the process that it serves, where none can be shared: the same hub, at the other end of a pair of
sockets.
"""

from __future__ import annotations

import socket

import anyio
import attrs
from anyio import to_thread
from anyio.abc import TaskGroup, TaskStatus

from ....discovery.registry import Registry
from ....discovery.settings import Settings
from .hub import AT_REST, Hub
from .settings import renamed
from .starting import Found, greet
from .wire import Wire

__all__ = ["OwnNode"]


class OwnNode:
    """Runs in a task of its own, so that it can outlast what follows it.

    Args:
        reason: why it is needed.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self._end = anyio.Event()

    async def start(self, tasks: TaskGroup, settings: Settings) -> Found:
        """It runs until `end`, or until the tasks are cancelled.

        Raises:
            DiscoveryError: as `Registry.start`.
        """
        found: Found = await tasks.start(self._run, settings)
        return found

    def end(self) -> None:
        """It is needed no more, and leaves."""
        self._end.set()

    async def _run(self, settings: Settings, *, task_status: TaskStatus[Found]) -> None:
        registry = Registry(attrs.evolve(renamed(settings), leave_on_sigterm=False), timings=AT_REST)
        hub = Hub(registry, "", "this process", _nobody_else_comes, shared=False)
        ours, theirs = map(Wire, socket.socketpair())
        try:
            await to_thread.run_sync(lambda: registry.start(announce=False))
            await hub.begin()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hub.run)
                tasks.start_soon(hub.serve, theirs, 0)
                task_status.started(await greet(ours, "", settings.register))
                await self._end.wait()
                tasks.cancel_scope.cancel()
        finally:
            ours.close()
            theirs.close()
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(registry.stop)


def _nobody_else_comes() -> None:
    """It has no lock and no socket to give up."""
