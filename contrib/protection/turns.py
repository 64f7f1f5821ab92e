"""Who may ask a store now: not more requests at once than it has connections.

Where very many come at once, each waits for those before it, and it is not the store that is slow.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import AsyncIterator, Iterator

import anyio

from .once import PerLoop, PerProcess
from .stores import Failure, StoreFailed

__all__ = ["Turns"]


class Turns:
    """So many at a time, in the threads of a process and on each of its event loops.

    Args:
        longest_wait: seconds.
    """

    def __init__(self, number: int, longest_wait: float) -> None:
        self._longest_wait = longest_wait
        self._of_threads = PerProcess(lambda: threading.Semaphore(number))
        self._of_loop = PerLoop(lambda: anyio.CapacityLimiter(number))

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """A turn for as long as the block takes.

        Raises:
            StoreFailed: it did not come in time.
        """
        turns = self._of_threads.get()
        if not turns.acquire(timeout=self._longest_wait):
            raise StoreFailed(Failure.BUSY)
        try:
            yield
        finally:
            turns.release()

    @contextlib.asynccontextmanager
    async def turn_async(self) -> AsyncIterator[None]:
        """The same on an event loop."""
        with anyio.move_on_after(self._longest_wait) as waiting:
            async with self._of_loop.get():
                waiting.deadline = math.inf
                yield
                return
        raise StoreFailed(Failure.BUSY)
