"""The socket at which a registrar takes its workers."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from ....drivers.kit.log_fields import fields
from .place import Held
from .processes import peer
from .wire import Wire

__all__ = ["Listening"]

logger = logging.getLogger(__name__)

_TOUCH_EVERY = 3600.0
_NO_DESCRIPTOR_FOR = 0.2
"""Seconds to wait when there is none left, or whatever else keeps a connection from being taken."""


class Listening:
    """Takes connections until `end`.

    Args:
        held: what a worker has made for it.
    """

    def __init__(self, held: Held) -> None:
        self._held: Held | None = held
        held.listener.setblocking(False)

    async def serve(self, handle: Callable[[Wire, int], Coroutine[Any, Any, None]]) -> None:
        """Have each connection handled, with the number of the process at its other end, until cancelled or ended."""
        async with anyio.create_task_group() as connections:
            while self._held is not None:
                try:
                    connection, _ = self._held.listener.accept()
                except BlockingIOError:
                    with contextlib.suppress(anyio.ClosedResourceError):
                        await anyio.wait_readable(self._held.listener)
                    continue
                except OSError as error:
                    logger.warning("a worker could not be taken: %s", error, extra=fields(reason=error))
                    await anyio.sleep(_NO_DESCRIPTOR_FOR)
                    continue
                try:
                    pid = peer(connection)
                except OSError as error:
                    logger.warning("a connection is refused: %s", error, extra=fields(reason=error))
                    connection.close()
                else:
                    connections.start_soon(handle, Wire(connection), pid)

    async def keep_fresh(self) -> None:
        """Whoever tidies up the temporary files takes those for forgotten that nobody touches in days."""
        while self._held is not None:
            os.utime(self._held.lock)
            await anyio.sleep(_TOUCH_EVERY)

    def end(self) -> None:
        """Take no more, and let another registrar stand. Safe to call twice."""
        held, self._held = self._held, None
        if held is not None:
            for suffix in (".sock", ".lock"):
                held.place.with_suffix(suffix).unlink(missing_ok=True)
            os.close(held.lock)
            anyio.notify_closing(held.listener)
            held.listener.close()
