"""What other threads wait for while the drivers' event loop works: every wait ends, at the latest with the registry.

Nobody who waits holds a lock: it guards the set of those that are open, and no more.
"""

from __future__ import annotations

import concurrent.futures
import threading
from typing import Any

from ..drivers.errors import DiscoveryError, RegistryStateError

__all__ = ["Replies", "Reply", "answer"]

Reply = concurrent.futures.Future[Any]


class Replies:
    """Those that somebody waits for.

    Attributes:
        refused: whether nobody may begin to wait any more. A signal handler sets it without the lock; who was not
            refused in time is answered by `end`.
    """

    def __init__(self) -> None:
        self.refused = False
        self._open: set[Reply] = set()
        # Reentrant, because a signal handler may interrupt a call of the same thread.
        self._lock = threading.RLock()

    def begin(self) -> Reply:
        """One more.

        Raises:
            RegistryStateError: the registry is being stopped.
        """
        reply = Reply()
        with self._lock:
            if self.refused:
                raise RegistryStateError("the registry is being stopped")
            self._open.add(reply)
        return reply

    def wait(self, reply: Reply, within: float | None = None) -> Any:
        """What it is answered with.

        Raises:
            Exception: it is answered with that; a `RegistryStateError` if the registry is stopped first.
            DiscoveryError: nothing comes within so many seconds.
        """
        try:
            return reply.result(within)
        except concurrent.futures.TimeoutError:
            if reply.done():
                raise
            raise DiscoveryError(f"the event loop of the drivers did not answer within {within:g} s") from None
        finally:
            with self._lock:
                self._open.discard(reply)

    def refuse(self) -> None:
        """From now on nobody may begin to wait."""
        with self._lock:
            self.refused = True

    def end(self) -> None:
        """Answer all that are open: the registry was stopped."""
        with self._lock:
            replies, self._open = self._open, set()
        for reply in replies:
            answer(reply, error=RegistryStateError("the registry was stopped before the drivers had answered"))


def answer(reply: Reply, result: object = None, *, error: Exception | None = None) -> None:
    """Answer, unless that has happened."""
    try:
        if error is None:
            reply.set_result(result)
        else:
            reply.set_exception(error)
    except concurrent.futures.InvalidStateError:
        pass
