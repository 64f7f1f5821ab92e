"""A daemon thread with an asyncio event loop, which ends within a deadline whatever runs on it.

The registry has one for all drivers, and a driver may have one for an SDK that does not keep to the rules of an event
loop. A thread of its own, because health checks must keep their timing when somebody else blocks a loop, and because
sync and async programs are to get the same object. asyncio, because the SDKs insist on it.

A daemon, and not `anyio.from_thread.start_blocking_portal`: the interpreter waits for threads that are not daemons, and
for those of an executor, before it runs the `atexit` handlers, and leaving the cluster is done by such a handler. No
portal either: it makes its callers wait until the loop has taken the call, which one that somebody blocks never does.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import anyio

from .cancellation import others_cancellation_as

__all__ = ["CallAbandoned", "LoopThread", "call_soon"]

T = TypeVar("T")

Loop = asyncio.AbstractEventLoop


def call_soon(loop: Loop, action: Callable[..., object], *arguments: Any) -> None:
    """Have `loop` call `action`; from any thread, without waiting. Nothing happens once the loop is closed."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(action, *arguments)


class CallAbandoned(RuntimeError):
    """The loop does not run, or what it was to do was cancelled there by somebody else than who asked for it: it is not
    known how far that got.
    """


class LoopThread:
    """The thread, from `start` until `main` returns, or until `close` or `aclose` if there is none.

    Args:
        name: of the thread.
        main: what the loop runs; None for whatever others have it do. What still runs at its end is cancelled.
        make_loop: makes the loop.
        prepare: is called with the loop, on the thread, before anything else is.
    """

    def __init__(
        self,
        name: str,
        main: Callable[[], Awaitable[None]] | None = None,
        *,
        make_loop: Callable[[], Loop] = asyncio.new_event_loop,
        prepare: Callable[[Loop], None] | None = None,
    ) -> None:
        self._main = main or self._until_closed
        self._make_loop = make_loop
        self._prepare = prepare
        self._loop: Loop | None = None
        # In which anyio knows that it is asyncio's loop that runs.
        self._context: contextvars.Context | None = None
        self._closing: asyncio.Event | None = None
        self._entered: Future[None] = Future()
        self._ended: Future[None] = Future()
        self._ended.set_running_or_notify_cancel()  # so that who stops waiting for it does not cancel it
        self._submitted: set[Future[Any]] = set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; returns when its loop runs."""
        self._thread.start()
        self._entered.result()

    @property
    def is_current(self) -> bool:
        """Whether the calling thread is this one."""
        return threading.get_ident() == self._thread.ident

    # -- having something done -----------------------------------------------------------------------------------------

    def call_soon(self, action: Callable[..., object], *arguments: Any) -> None:
        """Have the loop call `action`; from any thread, without waiting and without a lock. Nothing happens before the
        loop runs, nor once it is closed.
        """
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(action, *arguments, context=self._context)

    def submit(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> Future[T]:
        """Have the loop run ``await function(*arguments)``; from any other thread, without waiting. The future is
        cancelled if the loop ends before that has.

        Raises:
            CallAbandoned: the loop does not run.
        """
        if self._loop is None:
            raise CallAbandoned("the event loop does not run yet")
        coroutine = function(*arguments)
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError as error:
            coroutine.close()
            raise CallAbandoned("the event loop does not run any more") from error
        self._submitted.add(future)
        future.add_done_callback(self._submitted.discard)
        if self._ended.done():  # meanwhile: whoever ends it has perhaps not seen this one
            future.cancel()
        return future

    async def call(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        """The result of ``await function(*arguments)``, for another asyncio loop; cancelled there when cancelled here.

        Raises:
            CallAbandoned: the loop does not run or has ended meanwhile, or the call was cancelled there and not here.
        """
        with others_cancellation_as(CallAbandoned("cancelled on the event loop that it was called on")):
            return await asyncio.wrap_future(self.submit(function, *arguments))

    # -- its end -------------------------------------------------------------------------------------------------------

    def join(self, timeout: float) -> bool:
        """Wait until the thread has ended; whether it has, after `timeout` seconds at most. A thread that something
        blocks is left behind, which does not keep the process from ending.
        """
        if self._thread.ident is None:
            return True
        # Not the thread's own `join`, which a thread refuses for a moment after it was started.
        concurrent.futures.wait([self._ended], max(0.0, timeout))
        if not self._ended.done():
            return False
        self._thread.join()
        return True

    def close(self, within: float) -> bool:
        """End a thread that has no `main`, from any other one; whether it has ended, as `join` says."""
        self.call_soon(self._close)
        return self.join(within)

    async def aclose(self, within: float) -> bool:
        """`close` for another asyncio loop, which goes on meanwhile."""
        self.call_soon(self._close)
        with anyio.move_on_after(within, shield=True):
            await asyncio.wrap_future(self._ended)
            self._thread.join()
        return not self._thread.is_alive()

    def _close(self) -> None:
        if self._closing is not None:
            self._closing.set()

    async def _until_closed(self) -> None:
        self._closing = asyncio.Event()
        await self._closing.wait()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            anyio.run(self._enter, backend="asyncio", backend_options={"loop_factory": self._make_loop})
        except BaseException as error:
            if self._entered.done():
                raise
            self._entered.set_exception(error)
        finally:
            self._ended.set_result(None)
            for future in tuple(self._submitted):  # what came too late to be run
                future.cancel()

    async def _enter(self) -> None:
        self._context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        if self._prepare is not None:
            self._prepare(loop)
        self._loop = loop
        self._entered.set_result(None)
        await self._main()  # begins before anything that others have the loop do
