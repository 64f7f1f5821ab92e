"""The thread of the SDK, with an event loop of its own.

Its own, because the SDK's locks and callbacks may hold up a loop, and the registry's must keep the timing of health
checks; and because what the SDK starts and forgets (tasks, an executor) goes when the loop goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

import anyio

__all__ = ["SdkThread", "open_thread", "owned_tasks"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_END_WITHIN = 1.5

owned_tasks: ContextVar[set[asyncio.Task[Any]]] = ContextVar("owned_tasks")
"""Every task that is started in a context where this is set is added to it, and leaves it when it ends."""


class SdkThread:
    """Runs coroutines for the registry's loop. Made by `open_thread`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(_owning)  # type: ignore[arg-type]
        self._loop.set_exception_handler(_forgotten)
        self._home = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="pydoudou-nacos", daemon=True)
        self._thread.start()

    async def call(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        """The result of ``await function(*arguments)`` on the other loop; cancelled there when it is cancelled here."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(function(*arguments), self._loop))

    def report(self, action: Callable[..., object], *arguments: Any) -> None:
        """Have the registry's loop call something; from the other thread, without waiting."""
        with contextlib.suppress(RuntimeError):  # the registry has stopped
            self._home.call_soon_threadsafe(action, *arguments)

    async def end(self) -> None:
        """Cancel what still runs and end the thread; one that does not end in time is left behind."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        with anyio.move_on_after(_END_WITHIN, shield=True) as deadline:
            await self._ended.wait()
        if deadline.cancelled_caught:
            logger.error("the Nacos SDK blocks its event loop or refuses to be cancelled: its thread is left behind")
        else:
            self._thread.join()

    def _run(self) -> None:
        loop = self._loop
        try:
            loop.run_forever()
            loop.run_until_complete(_cancel_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
            self.report(self._ended.set)


@contextlib.asynccontextmanager
async def open_thread() -> AsyncIterator[SdkThread]:
    """A thread that is gone afterwards."""
    thread = SdkThread()
    try:
        yield thread
    finally:
        await thread.end()


async def _cancel_all() -> None:
    remaining = asyncio.all_tasks() - {asyncio.current_task()}
    for task in remaining:
        task.cancel()
    await asyncio.gather(*remaining, return_exceptions=True)


def _owning(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **named: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **named)
    context = named.get("context")
    owned = owned_tasks.get(None) if context is None else context.get(owned_tasks)
    if owned is not None:
        owned.add(task)
        task.add_done_callback(owned.discard)
    return task


def _forgotten(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The SDK starts tasks and never asks how they ended; its failures reach us where we ask."""
    logger.debug("in the Nacos SDK: %s: %r", context.get("message"), context.get("exception"))
