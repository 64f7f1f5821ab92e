"""The thread of the SDK, with an event loop of its own.

Its own, because the SDK's locks and callbacks may hold up a loop, and the registry's must keep the timing of health
checks; and because what the SDK starts and forgets (tasks, an executor) goes when the loop goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from contextvars import ContextVar
from typing import Any

from ..kit.loop_thread import LoopThread

__all__ = ["open_thread", "owned_tasks"]

logger = logging.getLogger(__name__)

_END_WITHIN = 1.5

owned_tasks: ContextVar[set[asyncio.Task[Any]]] = ContextVar("owned_tasks")
"""Every task that is started in a context where this is set is added to it, and leaves it when it ends."""


@contextlib.asynccontextmanager
async def open_thread() -> AsyncIterator[LoopThread]:
    """A thread that is gone afterwards; one that does not end in time is left behind."""
    thread = LoopThread("pydoudou-nacos", prepare=_prepare)
    thread.start()
    try:
        yield thread
    finally:
        if not await thread.aclose(_END_WITHIN):
            logger.error("the Nacos SDK blocks its event loop or refuses to be cancelled: its thread is left behind")


def _prepare(loop: asyncio.AbstractEventLoop) -> None:
    loop.set_task_factory(_owning)  # type: ignore[arg-type]
    loop.set_exception_handler(_forgotten)


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
