"""A signal that ends a server has it leave first, and serve on; then the server's own handler is called."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

__all__ = ["DrainFirst", "Drains", "TwiceIsOnce"]

logger = logging.getLogger(__name__)

_TWICE_WITHIN = 1.0


class Drains(Protocol):
    """What leaves before it ends."""

    def drain_soon(self, then: Callable[[], None]) -> bool:
        """Leave, serve on, and call `then`; False, and nothing, if that has begun before or there is nothing to do."""


class TwiceIsOnce:
    """Of the workers of a server: a second signal within a second is the first one, which came twice. Who ends a
    service may tell every process of it, as systemd does, and the server tells its workers again.
    """

    def __init__(self, server: Drains) -> None:
        self._server = server
        self._told_at = -math.inf
        self._over = False

    def drain_soon(self, then: Callable[[], None]) -> bool:
        """See `Drains.drain_soon`."""

        def when_over() -> None:
            self._over = True
            then()

        if self._server.drain_soon(when_over):
            self._told_at = time.monotonic()
            return True
        return not self._over and time.monotonic() - self._told_at < _TWICE_WITHIN


class DrainFirst:
    """A handler in front of the one that is there. A second signal goes through to that at once.

    Only the main thread can set it, and only a handler that Python knows can be called by it: asyncio's
    ``loop.add_signal_handler`` hides the server's own.

    Args:
        server: what is to leave.
        number: which signal.
    """

    def __init__(self, server: Drains, number: int = signal.SIGTERM) -> None:
        self._server, self._number = server, number
        self._before: Any = None
        self._set = False

    def set(self, otherwise: int = logging.WARNING) -> bool:
        """Take the place of the handler; whether that was possible. If not, that is logged, as `otherwise` says."""
        before = signal.getsignal(self._number)
        if threading.current_thread() is not threading.main_thread():
            reason = "this is not the main thread"
        elif before is None or (getattr(before, "__module__", "") or "").startswith("asyncio."):
            reason = "its handler is one that cannot be called from Python"
        else:
            signal.signal(self._number, self)
            self._before, self._set = before, True
            return True
        logger.log(
            otherwise,
            "%s ends this server without leaving first, because %s: run it under `pydoudou run`",
            signal.Signals(self._number).name,
            reason,
        )
        return False

    def take_back(self) -> None:
        """Put the handler back that was there, if nobody else has taken the place since."""
        present: object = signal.getsignal(self._number)
        if self._set and present is self:
            signal.signal(self._number, self._before)
        self._set = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._server.drain_soon(lambda: os.kill(os.getpid(), number)):
            return
        if callable(self._before):
            self._before(number, frame)
        elif self._before == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            if os.getpid() == 1:
                os._exit(128 + number)  # the kernel ignores the default disposition of the first process of a container
            os.kill(os.getpid(), number)
