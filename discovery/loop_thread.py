"""One daemon thread with one asyncio event loop, on which all drivers of a registry run.

Its own thread, because health checks must keep their timing when the application blocks its event loop, and because
sync and async programs are to get the same object. asyncio, because the client of Nacos insists on it.

A daemon, and not `anyio.from_thread.start_blocking_portal`: the interpreter waits for threads that are not daemons, and
for those of an executor, before it runs the `atexit` handlers, and leaving the cluster is done by such a handler. No
portal either: it makes its callers wait until the loop has taken the call, which one that a driver blocks never does.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

import anyio

from .running_loop import runs_in

__all__ = ["LoopThread"]


class LoopThread:
    """The thread, from `start` until `main` returns.

    Args:
        main: what the loop runs.
        make_loop: makes the loop.
    """

    def __init__(self, main: Callable[[], Awaitable[None]], make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._main = main
        self._make_loop = make_loop
        self._loop: asyncio.AbstractEventLoop | None = None
        # In which anyio knows that it is asyncio's loop that runs.
        self._context: contextvars.Context | None = None
        self._entered: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="pydoudou", daemon=True)

    def start(self) -> None:
        """Start the thread; returns when its loop runs."""
        self._thread.start()
        self._entered.result()

    @property
    def is_current(self) -> bool:
        """Whether the calling thread is this one."""
        return threading.get_ident() == self._thread.ident

    def call_soon(self, action: Callable[[], object]) -> None:
        """Have the loop call `action`; from any thread, without waiting and without a lock. Nothing happens before the
        loop runs, nor once it is closed.
        """
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(action, context=self._context)

    def join(self, timeout: float) -> bool:
        """Wait until the thread has ended; whether it has, after `timeout` seconds at most."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout))
        return not self._thread.is_alive()

    def _run(self) -> None:
        async def enter() -> None:
            self._context = contextvars.copy_context()
            self._loop = asyncio.get_running_loop()
            runs_in(self._loop, threading.get_ident())
            self._entered.set_result(None)
            await self._main()

        try:
            anyio.run(enter, backend="asyncio", backend_options={"loop_factory": self._make_loop})
        except BaseException as error:
            if self._entered.done():
                raise
            self._entered.set_exception(error)
