"""A daemon thread with an asyncio event loop, which ends within a deadline whatever runs on it.

The registry has one for all drivers, and a driver may have one for an SDK that does not keep to the rules of an event
loop. A thread of its own, because health checks must keep their timing when somebody else blocks a loop. asyncio,
because the SDKs insist on it. A daemon, and not `anyio.from_thread.start_blocking_portal`: the interpreter waits for
threads that are not daemons, and for those of an executor, before it runs the `atexit` handlers, and leaving the
cluster is done by such a handler.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import anyio

__all__ = ["LoopThread", "call_soon"]

T = TypeVar("T")


def call_soon(loop: asyncio.AbstractEventLoop, action: Callable[..., object], *arguments: Any) -> None:
    """Have `loop` call `action`; from any thread, without waiting. Nothing happens once the loop is closed."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(action, *arguments)


class LoopThread:
    """The thread, running from creation until `close` or `aclose`.

    Args:
        name: of the thread.
        prepare: is called with the loop before it runs, to give it a task factory or an exception handler.

    Attributes:
        loop: what the thread runs.
    """

    def __init__(self, name: str, prepare: Callable[[asyncio.AbstractEventLoop], None] | None = None) -> None:
        self.loop = asyncio.new_event_loop()
        if prepare is not None:
            prepare(self.loop)
        self._ended: Future[None] = Future()
        self._ended.set_running_or_notify_cancel()  # so that who stops waiting for it does not cancel it
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_current(self) -> bool:
        """Whether the calling thread is this one."""
        return threading.current_thread() is self._thread

    def call_soon(self, action: Callable[..., object], *arguments: Any) -> None:
        """Have the loop call `action`; from any thread, without waiting. Nothing happens once the loop is closed."""
        call_soon(self.loop, action, *arguments)

    def submit(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> Future[T]:
        """Have the loop run ``await function(*arguments)``; from any other thread, without waiting.

        Raises:
            RuntimeError: the loop is closed.
        """
        coroutine = function(*arguments)
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        except RuntimeError:
            coroutine.close()
            raise

    async def call(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        """The result of ``await function(*arguments)``, for another asyncio loop; cancelled there when cancelled here.

        Raises:
            RuntimeError: the loop is closed.
        """
        return await asyncio.wrap_future(self.submit(function, *arguments))

    def close(self, within: float) -> bool:
        """Cancel what still runs and end the thread; from any other thread.

        Returns:
            False if something blocks the loop or refuses to be cancelled for `within` seconds: the thread is left
            behind, which does not keep the process from ending.
        """
        self.call_soon(self.loop.stop)
        self._thread.join(within)
        return not self._thread.is_alive()

    async def aclose(self, within: float) -> bool:
        """`close` for another asyncio loop, which goes on meanwhile."""
        self.call_soon(self.loop.stop)
        with anyio.move_on_after(within, shield=True):
            await asyncio.wrap_future(self._ended)
            self._thread.join()
        return not self._thread.is_alive()

    def _run(self) -> None:
        loop = self.loop
        try:
            loop.run_forever()
            loop.run_until_complete(_cancel_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
            self._ended.set_result(None)


async def _cancel_all() -> None:
    remaining = asyncio.all_tasks() - {asyncio.current_task()}
    for task in remaining:
        task.cancel()
    await asyncio.gather(*remaining, return_exceptions=True)
