"""A registrar within the process that it serves, where none can be shared: the same hub, at the other end of a pair of
sockets.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import anyio
import attrs
from anyio import to_thread
from anyio.abc import TaskGroup, TaskStatus

from ....discovery.registry import Registry
from ....discovery.settings import Settings
from ....drivers.kit.backoff import Backoff
from .hub import AT_REST, Hub
from .settings import renamed
from .starting import CannotShare, Found, find, greet
from .timings import Timings
from .wire import Wire

__all__ = ["OwnNode", "one_to_share"]


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


async def one_to_share(
    settings: Settings, serves: bool, timings: Timings, looks: Iterator[int], wanted: Callable[[], bool]
) -> Found:
    """Wait until there is a registrar to share; the waits grow, because each look may start one in vain.

    Args:
        looks: numbers them; what it starts with says how many there were before.
        wanted: whether to look still; not once the service takes its leave.
    """
    backoff = Backoff(timings.come_back_after, timings.come_back_after_most)
    while True:
        await anyio.sleep(backoff.delay(next(looks)))
        if not wanted():
            await anyio.sleep_forever()
        with contextlib.suppress(CannotShare):
            return await find(settings, serves, timings)


def _nobody_else_comes() -> None:
    """It has no lock and no socket to give up."""
