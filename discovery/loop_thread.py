"""One daemon thread with one asyncio event loop, on which all drivers of a registry run.

Its own thread, because health checks must keep their timing when the application blocks its event loop, and because
sync and async programs are to get the same object. asyncio, because the client of Nacos insists on it.

A daemon, and not `anyio.from_thread.start_blocking_portal`: the interpreter waits for threads that are not daemons, and
for those of an executor, before it runs the `atexit` handlers, and leaving the cluster is done by such a handler.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

import anyio
import attrs
from anyio.from_thread import BlockingPortal

__all__ = ["BackgroundLoop"]

logger = logging.getLogger(__name__)


@attrs.frozen
class _Entrance:
    portal: BlockingPortal
    loop: asyncio.AbstractEventLoop
    stop: anyio.Event


class BackgroundLoop:
    """The thread, running from creation until `close`.

    Attributes:
        portal: what other threads enter the loop through.
    """

    def __init__(self) -> None:
        entered: Future[_Entrance] = Future()
        self._thread = threading.Thread(target=_run, args=(entered,), name="pydoudou", daemon=True)
        self._thread.start()
        self._entrance = entered.result()
        self.portal = self._entrance.portal

    @property
    def is_current(self) -> bool:
        """Whether the calling thread is the loop's."""
        return threading.current_thread() is self._thread

    def call_soon(self, action: Callable[[], None]) -> None:
        """Have the loop call `action`; from any thread, without waiting. Nothing happens once the loop is closed."""
        with contextlib.suppress(RuntimeError):
            self._entrance.loop.call_soon_threadsafe(action)

    def close(self, within: float) -> None:
        """Cancel what still runs and end the thread; one that has not ended after `within` seconds is abandoned."""
        self.call_soon(self._entrance.stop.set)
        self._thread.join(within)
        if self._thread.is_alive():
            logger.error("a driver blocks its event loop or refuses to be cancelled: its thread is left behind")


def _run(entered: Future[_Entrance]) -> None:
    async def serve() -> None:
        async with BlockingPortal() as portal:
            stop = anyio.Event()
            entered.set_result(_Entrance(portal, asyncio.get_running_loop(), stop))
            await stop.wait()
            await portal.stop(cancel_remaining=True)

    try:
        anyio.run(serve, backend="asyncio")
    except BaseException as error:
        if entered.done():
            raise
        entered.set_exception(error)
